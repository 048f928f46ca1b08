/** Request headers that may be sent once. */
import { ApiError, type ErrorCode, shown } from "./errors.ts";

/** The runtime joins the values of a header that was sent twice, as RFC 9110 (5.3) describes it. */
const JOINED = ", ";
const QUOTED = /"(?:[^"\\]|\\.)*"/g;

/** True if the value may be that of several headers: it has a comma and a space outside of quotes. */
export const isJoined = (value: string): boolean =>
  value.includes(JOINED) && value.replace(QUOTED, "").includes(JOINED);

/**
 * Reads a header that may be sent once. A value that has a comma and a space cannot be told from the
 * values of two headers, so it is refused too.
 *
 * @param code of the error.
 * @param remedy where such a value can be sent; empty: nowhere, because it would be wrong anyway.
 * @returns null without the header.
 */
export function singleHeader(
  headers: Headers,
  name: string,
  code: ErrorCode,
  remedy = "",
): string | null {
  const value = headers.get(name);
  if (value?.includes(JOINED) === true) throw repeated(name, value, code, remedy);
  return value;
}

export function repeated(name: string, value: string, code: ErrorCode, remedy = ""): ApiError {
  const once = `The request header ${shown(name)} is ${shown(value)}: it must be sent once`;
  const message = remedy === "" ? once : `${once}, and without a comma and a space: ${remedy}`;
  return new ApiError(code, message);
}
