/**
 * Format of a snapshot: `u32` magic, `u8` version, then sections, each `u8` tag, `u32` length, body.
 * The order is fixed: header; level; members; views, each with its state; each topic with its
 * partitions, and after each partition its groups and idempotency keys; each namespace with its
 * entries, in order; the parts of `parts.ts`, which have tags from 20; end. Long parts are split into several sections. The checksum of the file is
 * added where the snapshot is stored.
 */
export const SNAPSHOT_MAGIC = 0x4d535941;
export const SNAPSHOT_VERSION = 1;
export const PREAMBLE_BYTES = 5;
export const SECTION_HEADER_BYTES = 5;

/** Time, limits, the policy of `"*"`, counters. */
export const SECTION_HEADER = 1;
export const SECTION_TOPIC = 2;
export const SECTION_PARTITION = 3;
/** Committed offsets of the partition before. */
export const SECTION_GROUPS = 4;
/** Idempotency keys of the partition before, oldest first. */
export const SECTION_DEDUPE = 5;
export const SECTION_NAMESPACE = 6;
/** Keys and values of the namespace before, in order. */
export const SECTION_ENTRIES = 7;
/** Number of sections before it: a snapshot that lacks it was cut off. */
export const SECTION_END = 8;
/** The directory of the cluster, by id. Absent while it is empty. */
export const SECTION_MEMBERS = 9;
/** The id of the next view. Absent while there was never a view. */
export const SECTION_VIEWS = 10;
/** One view, in the order of their ids; says how long its state is. */
export const SECTION_VIEW = 11;
/** A piece of the state of the view before. */
export const SECTION_VIEW_STATE = 12;
/** Level of the log. Right after the header; absent while it was never raised. */
export const SECTION_LEVEL = 13;
/** Sections of the parts of `parts.ts` have tags from here. */
export const PART_TAG_FIRST = 20;
