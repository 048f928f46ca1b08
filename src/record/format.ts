/**
 * A batch: records of one partition, encoded once at the edge and from then on journaled,
 * replicated, stored and served as it is. Little-endian.
 *
 *     0  u32  length of the whole batch, header included
 *     4  u32  header checksum: bytes 8…40 and the length, seeded with the partition's identity
 *     8  u64  base offset          \  known only at apply; zero until then,
 *    16  u64  timestamp, ms        /  and not covered by the payload checksum
 *    24  u32  number of records, at least 1
 *    28  u32  payload checksum: CRC-32 of everything after the header
 *    32  u32  logical bytes: keys, values and headers, what retention counts
 *    36  u8   format version: 1, or 2 if any flag is set
 *    37  u8   flags: 1 = the records have headers; zero in version 1
 *    38  2 bytes of zero
 *    40       records: varint(key length + 1, 0 = no key), key, varint(value length), value; and
 *             with the flag 1: varint(length of the headers, 0 = none), headers as in `headers.ts`
 *
 * All records of a batch share its timestamp. A produce of many records is split into batches of
 * about `BATCH_BYTES_TARGET`, so that a read in the middle walks no more than that.
 */
export const BATCH_HEADER_BYTES = 40;
export const BATCH_VERSION = 1;
export const BATCH_VERSION_FLAGS = 2;
export const HAS_HEADERS = 1;
export const BATCH_BYTES_TARGET = 32 * 1024;

export const AT_LENGTH = 0;
export const AT_HEADER_CRC = 4;
export const AT_BASE_OFFSET = 8;
export const AT_TIMESTAMP = 16;
export const AT_COUNT = 24;
export const AT_PAYLOAD_CRC = 28;
export const AT_LOGICAL_BYTES = 32;
export const AT_VERSION = 36;
export const AT_FLAGS = 37;
export const AT_RESERVED = 38;
