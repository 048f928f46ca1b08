/**
 * Levels of the log: what its entries may hold. Each level adds to the one before. A leader uses a level only
 * after every member has told that it knows it, and after a command has raised the level in the log.
 * Members of an earlier version therefore never meet entries or records that they do not know.
 */
export const LEVEL_FIRST = 0;
/** Batches of format version 2: records with headers. */
export const LEVEL_HEADERS = 1;
/** Commands and parts of the state with tags from 20: what the descriptors of this level name. */
export const LEVEL_SHARED_WORK = 2;
/** Commands and parts that carry records out of the log (webhooks, exports), and partitions that share files. */
export const LEVEL_DELIVERY = 3;

/** The highest level that this program knows. */
export const LEVEL_KNOWN = LEVEL_DELIVERY;
