/**
 * Format of a snapshot: `u32` magic, `u8` version, then sections, each `u8` tag, `u32` length, body.
 * The order is fixed: header; level; the parts in the order of `parts.ts`; end. The checksum of the
 * file is added where the snapshot is stored.
 */
export const SNAPSHOT_MAGIC = 0x4d535941;
export const SNAPSHOT_VERSION = 1;
export const PREAMBLE_BYTES = 5;
export const SECTION_HEADER_BYTES = 5;

/** Time, limits, the policy of `"*"`, counters. */
export const SECTION_HEADER = 1;
/** Number of sections before it: a snapshot that lacks it was cut off. */
export const SECTION_END = 8;
/** Level of the log. Right after the header; absent while it was never raised. */
export const SECTION_LEVEL = 13;
