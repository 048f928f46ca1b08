/** Static files for browsers, prepared to be sent: plain and gzipped, with the hash of the content. */

export type Asset = {
  readonly contentType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly gzipped: Uint8Array<ArrayBuffer>;
  /** First 16 hexadecimal digits of the SHA-256 of the content. Used as ETag and in file names. */
  readonly hash: string;
};

export const hashOf = (text: string): string =>
  new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 16);

export function asset(contentType: string, text: string): Asset {
  const bytes = new TextEncoder().encode(text);
  return { contentType, bytes, gzipped: Bun.gzipSync(bytes), hash: hashOf(text) };
}
