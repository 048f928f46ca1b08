/** Request headers of the protocol. */
import type { ErrorCode } from "../errors.ts";
import { isJoined, repeated, singleHeader } from "../single-header.ts";

/** @throws ApiError if it was sent twice. @returns null without the header. */
export const headerOf = (
  headers: Headers,
  name: string,
  code: ErrorCode = "invalid_request",
): string | null => singleHeader(headers, name, code);

/** Any case of `true` closes a stream, and every other value counts as absent, by the protocol. */
export const isClosing = (headers: Headers): boolean =>
  headers.get("stream-closed")?.toLowerCase() === "true";

/** The content type; empty if there is none. */
export function typeOfBody(headers: Headers): string {
  const type = headers.get("content-type")?.trim() ?? "";
  if (isJoined(type)) throw repeated("Content-Type", type, "invalid_request");
  return type;
}
