import { hash } from "node:crypto";

/**
 * The first `bytes` bytes (at most 32) of SHA-256. For identities that must not collide, not even
 * deliberately: idempotency keys, payloads, tokens.
 */
export const sha256 = (data: Uint8Array | string, bytes = 32): Uint8Array =>
  hash("sha256", data, "buffer").subarray(0, bytes);
