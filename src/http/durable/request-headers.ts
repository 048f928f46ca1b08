/** Request headers of the protocol, each of which may be sent once. */
import type { ErrorCode } from "../errors.ts";
import { isJoined, repeated, singleHeader } from "../single-header.ts";

/** @throws ApiError if it was sent twice. @returns null without the header. */
export const headerOf = (
  headers: Headers,
  name: string,
  code: ErrorCode = "invalid_request",
): string | null => singleHeader(headers, name, code);

/** Any case of `true` closes a stream, and every other value counts as absent. */
export const isClosing = (headers: Headers): boolean =>
  headerOf(headers, "Stream-Closed")?.toLowerCase() === "true";

/** The content type; empty if there is none. */
export function typeOfBody(headers: Headers): string {
  const type = headers.get("content-type")?.trim() ?? "";
  if (isJoined(type)) throw repeated("Content-Type", type, "invalid_request");
  return type;
}
