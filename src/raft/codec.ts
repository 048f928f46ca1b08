/**
 * Messages as bytes. Layout (integers are varints unless said):
 *
 *     u8 version, u8 type, text from, text to, term, then the fields of the type in order of type;
 *     entries: count, then per entry: term, u8 type, blob data. Indexes follow from `prevIndex`.
 *
 * A decoded message is well-formed: contiguous entries, non-decreasing terms, none above its own.
 */
import { ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { TextCache } from "../lib/text-cache.ts";
import {
  expectEnd,
  readConfiguration,
  readCount,
  readFlag,
  writeConfiguration,
} from "./config-codec.ts";
import type {
  AppendRequest,
  AppendResponse,
  Entry,
  EntryType,
  LogIndex,
  Message,
  NodeId,
  SnapshotOffer,
  Term,
  VoteRequest,
  VoteResponse,
} from "./types.ts";

/**
 * The version byte of each message. A changed layout gets a new number, and the old layout stays
 * readable.
 */
export const MESSAGE_VERSION = 1;

/**
 * The type byte of each message. Never renumber: nodes of different versions talk to each other.
 */
const TAGS = {
  vote_request: 1,
  vote_response: 2,
  pre_vote_request: 3,
  pre_vote_response: 4,
  append_request: 5,
  append_response: 6,
  heartbeat: 7,
  heartbeat_response: 8,
  snapshot_offer: 9,
  timeout_now: 10,
  read_index_request: 11,
  read_index_response: 12,
  transfer_request: 13,
} as const satisfies Readonly<Record<Message["type"], number>>;

const TYPE_BY_TAG = new Map<number, Message["type"]>(
  (Object.keys(TAGS) as Message["type"][]).map((type) => [TAGS[type], type]),
);
const ENTRY_TYPES: readonly EntryType[] = ["normal", "conf_change"];
/** The minimum size of an encoded entry: term, type and length of the data. */
const ENTRY_BYTES_MIN = 3;

/** @returns the message as a newly allocated array of bytes. */
export function encodeMessage(message: Message): Uint8Array {
  const writer = new ByteWriter(128);
  writeMessage(writer, message);
  return writer.take();
}

export function writeMessage(writer: ByteWriter, message: Message): void {
  writer.u8(MESSAGE_VERSION);
  writer.u8(TAGS[message.type]);
  writer.text(message.from);
  writer.text(message.to);
  writer.varint(message.term);
  writeBody(writer, message);
}

function writeBody(writer: ByteWriter, message: Message): void {
  switch (message.type) {
    case "vote_request":
    case "pre_vote_request":
      writer.varint(message.lastIndex);
      writer.varint(message.lastTerm);
      writer.u8(message.transfer ? 1 : 0);
      writeCommitHint(writer, message);
      break;
    case "vote_response":
    case "pre_vote_response":
      writer.u8(message.granted ? 1 : 0);
      writeCommitHint(writer, message);
      break;
    case "append_request":
      writeAppend(writer, message);
      break;
    case "append_response":
      writeAppendResponse(writer, message);
      break;
    case "heartbeat":
      writer.varint(message.commit);
      writer.varint(message.round);
      break;
    case "heartbeat_response":
      writer.varint(message.round);
      break;
    case "snapshot_offer":
      writer.varint(message.snapshot.index);
      writer.varint(message.snapshot.term);
      writeConfiguration(writer, message.snapshot.configuration);
      break;
    case "timeout_now":
      break;
    case "read_index_request":
      writer.varint(message.requestId);
      break;
    case "read_index_response":
      writer.varint(message.requestId);
      writer.varint(message.index);
      break;
    case "transfer_request":
      writer.text(message.target);
  }
}

function writeCommitHint(writer: ByteWriter, hint: VoteRequest | VoteResponse): void {
  writer.varint(hint.commit);
  writer.varint(hint.commitTerm);
}

function readCommitHint(reader: ByteReader): { commit: LogIndex; commitTerm: Term } {
  const commit = readIndex(reader);
  return { commit, commitTerm: reader.varint() as Term };
}

function writeAppend(writer: ByteWriter, message: AppendRequest): void {
  writer.varint(message.prevIndex);
  writer.varint(message.prevTerm);
  writer.varint(message.commit);
  writer.varint(message.entries.length);
  for (const entry of message.entries) {
    writer.varint(entry.term);
    writer.u8(ENTRY_TYPES.indexOf(entry.type));
    writer.blob(entry.data);
  }
}

function writeAppendResponse(writer: ByteWriter, message: AppendResponse): void {
  writer.u8(message.accepted ? 1 : 0);
  if (message.accepted) {
    writer.varint(message.match);
    return;
  }
  writer.varint(message.rejected);
  writer.varint(message.hintIndex);
  writer.varint(message.hintTerm);
  writer.u8(message.lost ? 1 : 0);
}

/**
 * The data of entries are views of `bytes`.
 *
 * @throws DecodeError for bytes that no encoder wrote.
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new ByteReader(bytes);
  const message = readMessage(reader);
  expectEnd(reader);
  return message;
}

/** Reads one message at the position of the reader. @throws DecodeError */
export function readMessage(reader: ByteReader): Message {
  const version = reader.u8();
  if (version !== MESSAGE_VERSION) throw new DecodeError(`unknown message version ${version}`);
  const tag = reader.u8();
  const type = TYPE_BY_TAG.get(tag);
  if (type === undefined) throw new DecodeError(`unknown message type ${tag}`);
  const from = readId(reader);
  const to = readId(reader);
  const term = reader.varint() as Term;
  return readBody(reader, type, { from, to, term });
}

type Address = { readonly from: NodeId; readonly to: NodeId; readonly term: Term };

function readBody(reader: ByteReader, type: Message["type"], address: Address): Message {
  switch (type) {
    case "vote_request":
    case "pre_vote_request": {
      const lastIndex = readIndex(reader);
      const lastTerm = reader.varint() as Term;
      const transfer = readFlag(reader);
      return { type, ...address, lastIndex, lastTerm, transfer, ...readCommitHint(reader) };
    }
    case "vote_response":
    case "pre_vote_response": {
      const granted = readFlag(reader);
      return { type, ...address, granted, ...readCommitHint(reader) };
    }
    case "append_request":
      return readAppend(reader, address);
    case "append_response":
      return readAppendResponse(reader, address);
    case "heartbeat": {
      const commit = readIndex(reader);
      return { type, ...address, commit, round: reader.varint() };
    }
    case "heartbeat_response":
      return { type, ...address, round: reader.varint() };
    case "snapshot_offer":
      return readSnapshotOffer(reader, address);
    case "timeout_now":
      return { type, ...address };
    case "read_index_request":
      return { type, ...address, requestId: reader.varint() };
    case "read_index_response": {
      const requestId = reader.varint();
      return { type, ...address, requestId, index: readIndex(reader) };
    }
    case "transfer_request":
      return { type, ...address, target: readId(reader) };
  }
}

function readAppend(reader: ByteReader, address: Address): AppendRequest {
  const prevIndex = readIndex(reader);
  const prevTerm = reader.varint() as Term;
  const commit = readIndex(reader);
  const count = readCount(reader, ENTRY_BYTES_MIN);
  if (prevIndex + count > Number.MAX_SAFE_INTEGER) throw new DecodeError("index above 2^53-1");
  const entries: Entry[] = [];
  let least = prevTerm;
  for (let i = 1; i <= count; i++) {
    const entry = readEntry(reader, (prevIndex + i) as LogIndex);
    if (entry.term < least) throw new DecodeError("terms of entries descend");
    least = entry.term;
    entries.push(entry);
  }
  if (least > address.term) throw new DecodeError("an entry's term is above the message's");
  return { type: "append_request", ...address, prevIndex, prevTerm, entries, commit };
}

function readEntry(reader: ByteReader, index: LogIndex): Entry {
  const term = reader.varint() as Term;
  const tag = reader.u8();
  const type = ENTRY_TYPES[tag];
  if (type === undefined) throw new DecodeError(`unknown entry type ${tag}`);
  return { index, term, type, data: reader.blob() };
}

function readAppendResponse(reader: ByteReader, address: Address): AppendResponse {
  const type = "append_response";
  if (readFlag(reader)) {
    // Without a spread, since there is one for each append.
    const { from, to, term } = address;
    return { type, from, to, term, accepted: true, match: readIndex(reader) };
  }
  const rejected = readIndex(reader);
  const hintIndex = readIndex(reader);
  const hintTerm = reader.varint() as Term;
  const lost = readFlag(reader);
  return { type, ...address, accepted: false, rejected, hintIndex, hintTerm, lost };
}

function readSnapshotOffer(reader: ByteReader, address: Address): SnapshotOffer {
  const index = readIndex(reader);
  const term = reader.varint() as Term;
  if (index === 0 || term > address.term) throw new DecodeError("snapshot out of place");
  const snapshot = { index, term, configuration: readConfiguration(reader) };
  return { type: "snapshot_offer", ...address, snapshot };
}

const readIndex = (reader: ByteReader): LogIndex => reader.varint() as LogIndex;

const IDS = new TextCache();

function readId(reader: ByteReader): NodeId {
  const id = IDS.read(reader);
  if (id.length === 0) throw new DecodeError("a member without a name");
  return id as NodeId;
}
