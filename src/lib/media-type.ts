/** Type of a stream that was created without one. */
export const DEFAULT_TYPE = "application/octet-stream";
const JSON_TYPE = "application/json";

/** Returns the media type without parameters, in lower case. Streams are compared by it. */
export function mediaTypeOf(contentType: string): string {
  const end = contentType.indexOf(";");
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

/** True if each record of a stream of this type is one JSON value. */
export const isJsonType = (contentType: string): boolean => mediaTypeOf(contentType) === JSON_TYPE;

export const sameType = (a: string, b: string): boolean => mediaTypeOf(a) === mediaTypeOf(b);

/** True if the bytes of a stream of this type are text. */
export const isTextType = (contentType: string): boolean =>
  isJsonType(contentType) || mediaTypeOf(contentType).startsWith("text/");
