/**
 * The level of the log that a node knows, told in the nonces of a handshake. Their last 8 bytes are
 * a mark and the level, as TLS 1.3 marks a random number of its handshake (RFC 8446, section 4.1.3).
 * An earlier version treats them as random bytes, so no protocol version changes. The other 24 bytes
 * remain random. The nonces are part of the statement that both ends sign or prove.
 */
import { NONCE_BYTES } from "./handshake-codec.ts";

const MARK = Uint8Array.of(0x61, 0x79, 0x64, 0x72, 0x6c, 0x76, 0x6c);
const LEVEL_AT = NONCE_BYTES - 1;
const MARK_AT = LEVEL_AT - MARK.length;

export function writeLevel(nonce: Uint8Array, level: number): void {
  nonce.set(MARK, MARK_AT);
  nonce[LEVEL_AT] = level;
}

/** Returns the level of the node that made the nonce; 0 for a version that tells none. */
export function readLevel(nonce: Uint8Array): number {
  for (let i = 0; i < MARK.length; i++) if (nonce[MARK_AT + i] !== MARK[i]) return 0;
  return nonce[LEVEL_AT] as number;
}
