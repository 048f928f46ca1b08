/** Raw HTTP/1.1 requests for the load generator, base64. */
export function rawRequest(
  method: string,
  path: string,
  body: string | Uint8Array | null = null,
  token: string | null = "dev",
  contentType: string | null = null,
  accept: string | null = null,
): string {
  const head = [
    `${method} ${path} HTTP/1.1`,
    "Host: localhost",
    ...(token === null ? [] : [`Authorization: Bearer ${token}`]),
    ...(contentType === null ? [] : [`Content-Type: ${contentType}`]),
    ...(accept === null ? [] : [`Accept: ${accept}`]),
    ...(body === null ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
    "",
    "",
  ].join("\r\n");
  return Buffer.concat([Buffer.from(head), Buffer.from(body ?? "")]).toString("base64");
}

export const MESSAGE = "x".repeat(64);
export const NDJSON_100 = `${MESSAGE}\n`.repeat(100);

/** @returns the value of the topic `big` at an offset, 64 bytes like `MESSAGE`. */
export function bigValue(offset: number): string {
  return String(offset).padEnd(MESSAGE.length, "x");
}
