import type { CommitOffset } from "../broker/commands/commit-offset.ts";
import type { Configure } from "../broker/commands/configure.ts";
import type { DeleteBefore } from "../broker/commands/delete-before.ts";
import type { SetRetention } from "../broker/commands/set-retention.ts";
import type { Trim } from "../broker/commands/trim.ts";
import { KEY_DIGEST_BYTES, PAYLOAD_DIGEST_BYTES } from "../broker/dedupe-chunk.ts";
import type { Idempotency } from "../broker/idempotency.ts";
import type { KvDelete } from "../kv/commands/delete.ts";
import type { KvPut } from "../kv/commands/put.ts";
import { assert, unreachable } from "../lib/assert.ts";
import { ByteWriter, utf8, varintLength } from "../lib/bytes.ts";
import type { Millis, NodeId } from "../lib/ids.ts";
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
import type { Command } from "./commands.ts";
import type { PutMember } from "./members.ts";
import type { Checksum } from "./state-checksum.ts";
import type { PutView, SaveView } from "./views.ts";

/** Records as `BatchBuilder` hands them out. */
export type ProduceRecords = {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly logicalBytes: number;
};
/** The fields of a command; its `type` is said by the function. */
type Fields<C> = Omit<C, "type">;

/** The count's varint has a fixed width, so that it can be filled in when the entry is closed. */
const COUNT_BYTES = 4;
const COUNT_MAX = 2 ** 28 - 1;
const AT_TIME = 1;
const AT_ENTRY_COUNT = 9;

/**
 * Begins an entry in the writer; commands are appended to it as they come.
 *
 *     const start = openEntry(writer);
 *     encodeProduce(writer, topicId, partition, records, null);
 *     closeEntry(writer, start, now, 1);
 *
 * @returns where it begins, for `closeEntry`.
 */
export function openEntry(writer: ByteWriter): number {
  const start = writer.length;
  writer.u8(ENTRY_VERSION);
  writer.u64(0);
  writer.u32(0);
  return start;
}

/** @param at the leader's clock, which must not be below that of the entry before. */
export function closeEntry(writer: ByteWriter, start: number, at: Millis, count: number): void {
  assert(count >= 0 && count <= COUNT_MAX, "an entry has a bounded number of commands");
  assert(Number.isSafeInteger(at) && at >= 0, "the time of an entry is a safe integer");
  writer.setU32(start + AT_TIME, at >>> 0);
  writer.setU32(start + AT_TIME + 4, Math.floor(at / 2 ** 32));
  let padded = 0;
  for (let i = 0; i < COUNT_BYTES; i++) {
    const more = i < COUNT_BYTES - 1 ? 128 : 0;
    padded += (((count >>> (7 * i)) & 127) | more) * 2 ** (8 * i);
  }
  writer.setU32(start + AT_ENTRY_COUNT, padded);
}

/** Sets the time of an entry that was closed before it was known. */
export function stampEntry(entry: Uint8Array, at: Millis): void {
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  view.setUint32(AT_TIME, at >>> 0, true);
  view.setUint32(AT_TIME + 4, Math.floor(at / 2 ** 32), true);
}

/** The hot one: straight into the writer, no object in between. */
export function encodeProduce(
  writer: ByteWriter,
  topicId: number,
  partition: number,
  records: ProduceRecords,
  idempotency: Idempotency | null,
): void {
  const { bytes, count, logicalBytes } = records;
  const digestBytes = idempotency === null ? 0 : KEY_DIGEST_BYTES + PAYLOAD_DIGEST_BYTES;
  const length =
    varintLength(topicId) +
    varintLength(partition) +
    1 +
    digestBytes +
    varintLength(count) +
    varintLength(logicalBytes) +
    bytes.length;
  writer.u8(TAG_PRODUCE);
  writer.varint(length);
  writer.varint(topicId);
  writer.varint(partition);
  writer.u8(idempotency === null ? 0 : HAS_IDEMPOTENCY);
  if (idempotency !== null) {
    assert(idempotency.keyDigest.length === KEY_DIGEST_BYTES, "a key digest has 16 bytes");
    assert(idempotency.payloadDigest.length === PAYLOAD_DIGEST_BYTES, "a payload digest has 8");
    writer.raw(idempotency.keyDigest);
    writer.raw(idempotency.payloadDigest);
  }
  writer.varint(count);
  writer.varint(logicalBytes);
  writer.raw(bytes);
}

export function encodeCreateTopic(writer: ByteWriter, name: string, partitions: number): void {
  const body = new ByteWriter(64);
  body.text(name);
  body.varint(partitions);
  append(writer, TAG_CREATE_TOPIC, body);
}

export function encodeDeleteTopic(writer: ByteWriter, name: string): void {
  const body = new ByteWriter(64);
  body.text(name);
  append(writer, TAG_DELETE_TOPIC, body);
}

export function encodeDeleteGroup(writer: ByteWriter, group: string): void {
  const body = new ByteWriter(64);
  body.text(group);
  append(writer, TAG_DELETE_GROUP, body);
}

export function encodeCommitOffset(writer: ByteWriter, commit: Fields<CommitOffset>): void {
  const body = new ByteWriter(64);
  body.varint(commit.topicId);
  body.varint(commit.partition);
  body.text(commit.group);
  body.varint(commit.offset);
  append(writer, TAG_COMMIT_OFFSET, body);
}

export function encodeDeleteBefore(writer: ByteWriter, fields: Fields<DeleteBefore>): void {
  const body = new ByteWriter(32);
  body.varint(fields.topicId);
  body.varint(fields.partition);
  body.varint(fields.beforeOffset);
  body.varint(fields.bytesBefore);
  append(writer, TAG_DELETE_BEFORE, body);
}

export function encodeTrim(writer: ByteWriter, trim: Fields<Trim>): void {
  const body = new ByteWriter(32);
  body.varint(trim.topicId);
  body.varint(trim.partition);
  body.varint(trim.beforeOffset);
  body.varint(trim.bytesBefore);
  body.varint(trim.policyRevision);
  append(writer, TAG_TRIM, body);
}

export function encodeSetRetention(writer: ByteWriter, fields: Fields<SetRetention>): void {
  const { topic, partition, ttlMs, maxBytes } = fields;
  const body = new ByteWriter(64);
  body.text(topic);
  body.u8(
    (partition === null ? 0 : HAS_PARTITION) |
      (ttlMs === null ? 0 : HAS_TTL) |
      (maxBytes === null ? 0 : HAS_MAX_BYTES),
  );
  if (partition !== null) body.varint(partition);
  if (ttlMs !== null) body.varint(ttlMs);
  if (maxBytes !== null) body.varint(maxBytes);
  append(writer, TAG_SET_RETENTION, body);
}

export function encodeConfigure(writer: ByteWriter, limits: Fields<Configure>): void {
  const body = new ByteWriter(32);
  body.varint(limits.dedupeWindowMs);
  body.varint(limits.dedupeKeysMax);
  body.varint(limits.partitionsMax);
  append(writer, TAG_CONFIGURE, body);
}

/** Hot too, and values may be large: straight into the writer. */
export function encodeKvPut(writer: ByteWriter, put: Fields<KvPut>): void {
  const { key, value, cas } = put;
  const namespace = utf8(put.namespace);
  const ttlMs = put.ttlMs ?? 0;
  const length =
    varintLength(namespace.length) +
    namespace.length +
    varintLength(key.length) +
    key.length +
    1 +
    (cas === null ? 0 : varintLength(cas)) +
    varintLength(ttlMs) +
    value.length;
  writer.u8(TAG_KV_PUT);
  writer.varint(length);
  writer.blob(namespace);
  writer.blob(key);
  writer.u8(cas === null ? 0 : HAS_CAS);
  if (cas !== null) writer.varint(cas);
  writer.varint(ttlMs);
  writer.raw(value);
}

export function encodeKvDelete(writer: ByteWriter, fields: Fields<KvDelete>): void {
  const body = new ByteWriter(64 + fields.namespace.length + fields.key.length);
  body.text(fields.namespace);
  body.blob(fields.key);
  body.u8(fields.cas === null ? 0 : HAS_CAS);
  if (fields.cas !== null) body.varint(fields.cas);
  append(writer, TAG_KV_DELETE, body);
}

export function encodePutMember(writer: ByteWriter, member: Fields<PutMember>): void {
  const { storageId, resetStorageId } = member;
  const body = new ByteWriter(128);
  body.text(member.id);
  body.text(member.host);
  body.varint(member.raftPort);
  body.varint(member.httpPort);
  body.varint(member.priority);
  body.u8((storageId === null ? 0 : HAS_STORAGE_ID) | (resetStorageId ? RESET_STORAGE_ID : 0));
  if (storageId !== null) body.text(storageId);
  append(writer, TAG_PUT_MEMBER, body);
}

export function encodeRemoveMember(writer: ByteWriter, id: NodeId): void {
  const body = new ByteWriter(64);
  body.text(id);
  append(writer, TAG_REMOVE_MEMBER, body);
}

export function encodePutView(writer: ByteWriter, { name, query }: Fields<PutView>): void {
  const body = new ByteWriter(256 + query.length);
  body.text(name);
  body.text(query);
  append(writer, TAG_PUT_VIEW, body);
}

export function encodeDeleteView(writer: ByteWriter, name: string): void {
  const body = new ByteWriter(64);
  body.text(name);
  append(writer, TAG_DELETE_VIEW, body);
}

/** A state may be large: straight into the writer. */
export function encodeSaveView(writer: ByteWriter, save: Fields<SaveView>): void {
  const head = new ByteWriter(300);
  head.text(save.name);
  head.varint(save.viewId);
  writer.u8(TAG_SAVE_VIEW);
  writer.varint(head.length + save.state.length);
  writer.raw(head.view());
  writer.raw(save.state);
}

export function encodeRaiseLevel(writer: ByteWriter, level: number): void {
  const body = new ByteWriter(8);
  body.varint(level);
  append(writer, TAG_RAISE_LEVEL, body);
}

export function encodeTick(writer: ByteWriter): void {
  writer.u8(TAG_TICK);
  writer.varint(0);
}

/** u8 version of what is hashed, u64 index, u32 digest. */
export function encodeChecksum(writer: ByteWriter, checksum: Fields<Checksum>): void {
  const body = new ByteWriter(16);
  body.u8(checksum.version);
  body.u64(checksum.index);
  body.u32(checksum.digest);
  append(writer, TAG_CHECKSUM, body);
}

/** Appends any command. Where the kind is known, its own function says more. */
export function encodeCommand(writer: ByteWriter, command: Command): void {
  switch (command.type) {
    case "produce": {
      const { topicId, partition, count, logicalBytes, idempotency } = command;
      const records = { bytes: command.batches, count, logicalBytes };
      encodeProduce(writer, topicId, partition, records, idempotency);
      break;
    }
    case "create_topic":
      encodeCreateTopic(writer, command.name, command.partitions);
      break;
    case "delete_topic":
      encodeDeleteTopic(writer, command.name);
      break;
    case "delete_group":
      encodeDeleteGroup(writer, command.group);
      break;
    case "commit_offset":
      encodeCommitOffset(writer, command);
      break;
    case "delete_before":
      encodeDeleteBefore(writer, command);
      break;
    case "trim":
      encodeTrim(writer, command);
      break;
    case "set_retention":
      encodeSetRetention(writer, command);
      break;
    case "configure":
      encodeConfigure(writer, command);
      break;
    case "kv_put":
      encodeKvPut(writer, command);
      break;
    case "kv_delete":
      encodeKvDelete(writer, command);
      break;
    case "put_member":
      encodePutMember(writer, command);
      break;
    case "remove_member":
      encodeRemoveMember(writer, command.id);
      break;
    case "put_view":
      encodePutView(writer, command);
      break;
    case "delete_view":
      encodeDeleteView(writer, command.name);
      break;
    case "save_view":
      encodeSaveView(writer, command);
      break;
    case "raise_level":
      encodeRaiseLevel(writer, command.level);
      break;
    case "tick":
      encodeTick(writer);
      break;
    case "checksum":
      encodeChecksum(writer, command);
      break;
    default:
      unreachable(command);
  }
}

function append(writer: ByteWriter, tag: number, body: ByteWriter): void {
  writer.u8(tag);
  writer.blob(body.view());
}
