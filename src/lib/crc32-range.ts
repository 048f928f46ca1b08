/** CRC-32 (IEEE) by tables, for programs without a native one and for a few bytes. */
export const TABLE = new Int32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  TABLE[byte] = crc;
}
/** The effect of a byte that is followed by one, two or three others. */
const TABLE_1 = followed(TABLE);
const TABLE_2 = followed(TABLE_1);
const TABLE_3 = followed(TABLE_2);

function followed(table: Int32Array): Int32Array {
  return table.map((crc) => (TABLE[crc & 255] as number) ^ (crc >>> 8));
}

/**
 * CRC-32 of `bytes[start … end)` by tables, four bytes at a time. For a few bytes of a small array
 * this is faster than the native function, which needs a view (a view makes the engine move the
 * array out of its fast form).
 */
export function crc32Range(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  let crc = ~seed;
  let at = start;
  for (; at + 3 < end; at += 4) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    crc =
      (TABLE_3[crc & 255] as number) ^
      (TABLE_2[(crc >>> 8) & 255] as number) ^
      (TABLE_1[(crc >>> 16) & 255] as number) ^
      (TABLE[crc >>> 24] as number);
  }
  for (; at < end; at++) {
    crc = (TABLE[(crc ^ (bytes[at] as number)) & 255] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
