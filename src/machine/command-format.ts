/**
 * An entry of the log, as the machine reads it:
 *
 *     u8 version, u64 time in ms stamped by the leader, varint number of commands, commands
 *
 * and a command: u8 tag, varint length of the body, body. Entries live as long as journals do: a
 * command that changes gets a new tag, and an old one stays readable for ever.
 */
export const ENTRY_VERSION = 1;

export const TAG_CREATE_TOPIC = 1;
export const TAG_DELETE_TOPIC = 2;
export const TAG_PRODUCE = 3;
export const TAG_COMMIT_OFFSET = 4;
export const TAG_DELETE_BEFORE = 5;
export const TAG_TRIM = 6;
export const TAG_SET_RETENTION = 7;
export const TAG_CONFIGURE = 8;
export const TAG_KV_PUT = 9;
export const TAG_KV_DELETE = 10;
export const TAG_TICK = 11;
export const TAG_PUT_MEMBER = 12;
export const TAG_REMOVE_MEMBER = 13;
export const TAG_PUT_VIEW = 14;
export const TAG_DELETE_VIEW = 15;
export const TAG_SAVE_VIEW = 16;
export const TAG_CHECKSUM = 17;
export const TAG_DELETE_GROUP = 18;
export const TAG_RAISE_LEVEL = 19;

/** Bits of the flag byte that says which optional fields follow. */
export const HAS_IDEMPOTENCY = 1;
export const HAS_PARTITION = 1;
export const HAS_TTL = 2;
export const HAS_MAX_BYTES = 4;
export const HAS_CAS = 1;
export const HAS_STORAGE_ID = 1;
export const RESET_STORAGE_ID = 2;
