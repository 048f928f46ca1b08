import { hash } from "node:crypto";

/**
 * The first `bytes` bytes (at most 32) of SHA-256. For identity, where two different inputs must
 * not meet even if somebody tries: idempotency keys, payloads, tokens.
 */
export const sha256 = (data: Uint8Array | string, bytes = 32): Uint8Array =>
  hash("sha256", data, "buffer").subarray(0, bytes);
