import type { CommitOffset } from "../broker/commands/commit-offset.ts";
import type { DeleteBefore } from "../broker/commands/delete-before.ts";
import type { Produce } from "../broker/commands/produce.ts";
import type { SetRetention } from "../broker/commands/set-retention.ts";
import type { Trim } from "../broker/commands/trim.ts";
import { KEY_DIGEST_BYTES, PAYLOAD_DIGEST_BYTES } from "../broker/dedupe-chunk.ts";
import type { KvDelete } from "../kv/commands/delete.ts";
import type { KvPut } from "../kv/commands/put.ts";
import { ByteReader, DecodeError, fromUtf8 } from "../lib/bytes.ts";
import type { Millis, NodeId } from "../lib/ids.ts";
import type { Offset } from "../record/offset.ts";
import {
  ENTRY_VERSION,
  HAS_CAS,
  HAS_IDEMPOTENCY,
  HAS_MAX_BYTES,
  HAS_PARTITION,
  HAS_STORAGE_ID,
  HAS_TTL,
  RESET_STORAGE_ID,
  TAG_CHECKSUM,
  TAG_COMMIT_OFFSET,
  TAG_CONFIGURE,
  TAG_CREATE_TOPIC,
  TAG_DELETE_BEFORE,
  TAG_DELETE_GROUP,
  TAG_DELETE_TOPIC,
  TAG_DELETE_VIEW,
  TAG_KV_DELETE,
  TAG_KV_PUT,
  TAG_PRODUCE,
  TAG_PUT_MEMBER,
  TAG_PUT_VIEW,
  TAG_RAISE_LEVEL,
  TAG_REMOVE_MEMBER,
  TAG_SAVE_VIEW,
  TAG_SET_RETENTION,
  TAG_TICK,
  TAG_TRIM,
} from "./command-format.ts";
import type { Command, Tick } from "./commands.ts";
import { LEVEL_KNOWN } from "./levels.ts";
import type { PutMember } from "./members.ts";

/**
 * The entry was written by a newer version of this program. A node that skipped it would no longer
 * be like the others, so it must stop here and go on after an upgrade.
 */
export class UnknownEntryError extends Error {
  override readonly name = "UnknownEntryError";
}

export type DecodedEntry = { readonly at: Millis; readonly commands: readonly Command[] };

const TICK: Tick = { type: "tick" };

/**
 * Byte fields of the commands are views of `payload`.
 *
 * @throws UnknownEntryError for a version or command of a later release.
 * @throws DecodeError if the bytes are damaged.
 */
export function decodeEntry(payload: Uint8Array): DecodedEntry {
  const reader = new ByteReader(payload);
  const version = reader.u8();
  if (version !== ENTRY_VERSION) throw new UnknownEntryError(`entry version ${version}`);
  const at = reader.u64() as Millis;
  const count = reader.varint();
  const commands: Command[] = [];
  for (let i = 0; i < count; i++) {
    const tag = reader.u8();
    const length = reader.varint();
    if (length > reader.remaining) throw new DecodeError("command is cut off");
    const end = reader.position + length;
    commands.push(decodeCommand(reader, tag, end));
    if (reader.position !== end) throw new DecodeError("command has another length than it says");
  }
  if (reader.remaining !== 0) throw new DecodeError("bytes after the last command");
  return { at, commands };
}

function decodeCommand(reader: ByteReader, tag: number, end: number): Command {
  switch (tag) {
    case TAG_PRODUCE:
      return decodeProduce(reader, end);
    case TAG_COMMIT_OFFSET:
      return decodeCommitOffset(reader);
    case TAG_KV_PUT:
      return decodeKvPut(reader, end);
    case TAG_KV_DELETE:
      return decodeKvDelete(reader);
    case TAG_TICK:
      return TICK;
    case TAG_CHECKSUM:
      return {
        type: "checksum",
        version: reader.u8(),
        index: reader.u64(),
        digest: reader.u32(),
      };
    case TAG_CREATE_TOPIC:
      return { type: "create_topic", name: reader.text(), partitions: atLeastOne(reader.varint()) };
    case TAG_DELETE_GROUP:
      return { type: "delete_group", group: reader.text() };
    case TAG_DELETE_TOPIC:
      return { type: "delete_topic", name: reader.text() };
    case TAG_DELETE_BEFORE:
      return decodeDeleteBefore(reader);
    case TAG_TRIM:
      return decodeTrim(reader);
    case TAG_SET_RETENTION:
      return decodeSetRetention(reader);
    case TAG_CONFIGURE:
      return {
        type: "configure",
        dedupeWindowMs: reader.varint(),
        dedupeKeysMax: reader.varint(),
        partitionsMax: reader.varint(),
      };
    case TAG_PUT_MEMBER:
      return decodePutMember(reader);
    case TAG_REMOVE_MEMBER:
      return { type: "remove_member", id: reader.text() as NodeId };
    case TAG_PUT_VIEW:
      return { type: "put_view", name: reader.text(), query: reader.text() };
    case TAG_DELETE_VIEW:
      return { type: "delete_view", name: reader.text() };
    case TAG_SAVE_VIEW:
      return {
        type: "save_view",
        name: reader.text(),
        viewId: reader.varint(),
        state: rest(reader, end),
      };
    case TAG_RAISE_LEVEL:
      return { type: "raise_level", level: knownLevel(reader.varint()) };
    default:
      throw new UnknownEntryError(`command tag ${tag}`);
  }
}

function decodeProduce(reader: ByteReader, end: number): Produce {
  const topicId = reader.varint();
  const partition = reader.varint();
  const flags = knownFlags(reader.u8(), HAS_IDEMPOTENCY);
  const idempotency =
    flags === 0
      ? null
      : {
          keyDigest: reader.raw(KEY_DIGEST_BYTES),
          payloadDigest: reader.raw(PAYLOAD_DIGEST_BYTES),
        };
  const count = atLeastOne(reader.varint());
  const logicalBytes = reader.varint();
  const batches = rest(reader, end);
  return { type: "produce", topicId, partition, idempotency, count, logicalBytes, batches };
}

const decodeCommitOffset = (reader: ByteReader): CommitOffset => ({
  type: "commit_offset",
  topicId: reader.varint(),
  partition: reader.varint(),
  group: reader.text(),
  offset: reader.varint() as Offset,
});

const decodeDeleteBefore = (reader: ByteReader): DeleteBefore => ({
  type: "delete_before",
  topicId: reader.varint(),
  partition: reader.varint(),
  beforeOffset: reader.varint() as Offset,
  bytesBefore: reader.varint(),
});

const decodeTrim = (reader: ByteReader): Trim => ({
  type: "trim",
  topicId: reader.varint(),
  partition: reader.varint(),
  beforeOffset: reader.varint() as Offset,
  bytesBefore: reader.varint(),
  policyRevision: reader.varint(),
});

function decodeSetRetention(reader: ByteReader): SetRetention {
  const topic = reader.text();
  const flags = knownFlags(reader.u8(), HAS_PARTITION | HAS_TTL | HAS_MAX_BYTES);
  return {
    type: "set_retention",
    topic,
    partition: (flags & HAS_PARTITION) === 0 ? null : reader.varint(),
    ttlMs: (flags & HAS_TTL) === 0 ? null : reader.varint(),
    maxBytes: (flags & HAS_MAX_BYTES) === 0 ? null : reader.varint(),
  };
}

function decodeKvPut(reader: ByteReader, end: number): KvPut {
  const namespace = reader.text();
  const key = textBytes(reader.blob());
  const cas = knownFlags(reader.u8(), HAS_CAS) === 0 ? null : reader.varint();
  const ttlMs = reader.varint();
  const value = rest(reader, end);
  return { type: "kv_put", namespace, key, value, cas, ttlMs: ttlMs === 0 ? null : ttlMs };
}

function decodeKvDelete(reader: ByteReader): KvDelete {
  const namespace = reader.text();
  const key = textBytes(reader.blob());
  const cas = knownFlags(reader.u8(), HAS_CAS) === 0 ? null : reader.varint();
  return { type: "kv_delete", namespace, key, cas };
}

function decodePutMember(reader: ByteReader): PutMember {
  const id = reader.text() as NodeId;
  const host = reader.text();
  const raftPort = reader.varint();
  const httpPort = reader.varint();
  const priority = reader.varint();
  const flags = knownFlags(reader.u8(), HAS_STORAGE_ID | RESET_STORAGE_ID);
  const storageId = (flags & HAS_STORAGE_ID) === 0 ? null : reader.text();
  const resetStorageId = (flags & RESET_STORAGE_ID) !== 0;
  const address = { id, host, raftPort, httpPort, priority };
  return { type: "put_member", ...address, storageId, resetStorageId };
}

function rest(reader: ByteReader, end: number): Uint8Array {
  if (reader.position > end) throw new DecodeError("command is longer than it says");
  return reader.raw(end - reader.position);
}

/** A flag that this version does not know is a field that it would not see. */
function knownFlags(flags: number, known: number): number {
  if ((flags & ~known) !== 0) throw new UnknownEntryError(`flags ${flags} of a command`);
  return flags;
}

function knownLevel(level: number): number {
  if (level > LEVEL_KNOWN) throw new UnknownEntryError(`level ${level} of the log`);
  return level;
}

function atLeastOne(value: number): number {
  if (value < 1) throw new DecodeError("a count of zero makes no sense here");
  return value;
}

/**
 * Lets bytes pass whose first `length` are UTF-8.
 *
 * @throws DecodeError if they are not.
 */
export function textBytes(bytes: Uint8Array, length = bytes.length): Uint8Array {
  for (let i = 0; i < length; i++) {
    if ((bytes[i] as number) < 128) continue;
    try {
      fromUtf8(bytes.subarray(0, length));
      break;
    } catch (cause) {
      throw new DecodeError("key is not UTF-8", { cause });
    }
  }
  return bytes;
}
