import { crc32 as native } from "node:zlib";

/**
 * CRC-32 (IEEE), native: 10 to 50 GB/s, against about 1 GB/s for a table in JavaScript. The one
 * import of a platform module below `env/`: a pure function of its arguments, the same everywhere.
 *
 * @param seed CRC of the bytes before, so that `crc32(b, crc32(a))` is the CRC of `a` then `b`;
 *   or any number that is to be mixed in.
 */
export const crc32 = (bytes: Uint8Array, seed = 0): number => native(bytes, seed);
