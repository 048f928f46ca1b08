/** Payloads of a snapshot transfer. Each begins with the 8 bytes that name the transfer. */
import { type ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import type { Term } from "../raft/types.ts";
import { readName, readShortBlob } from "./envelope.ts";
import { isSnapshotFileName, type SnapshotFile } from "./snapshot-types.ts";

export const TRANSFER_ID_BYTES = 8;
export const SNAPSHOT_META_BYTES_MAX = 1024 * 1024;
export const SNAPSHOT_FILES_MAX = 1_000_000;
const FILE_NAME_BYTES_MAX = 520;
const REASON_BYTES_MAX = 255;
/** The minimum size of a file in a begin message: a name of one letter and a length. */
const FILE_BYTES_MIN = 3;

/** Identifies a transfer. It is hexadecimal, so that it can be compared and logged. */
export type TransferId = string;
/**
 * Position of a transfer: all files before `file`, and that file up to `position`, with its
 * checksum.
 */
export type SnapshotPlace = {
  readonly file: number;
  readonly position: number;
  readonly crc: number;
};

export type SnapshotBegin = {
  readonly id: TransferId;
  /** The receiver must discard what it has of this transfer and start from the beginning. */
  readonly fresh: boolean;
  readonly term: Term;
  readonly meta: Uint8Array;
  readonly files: readonly SnapshotFile[];
};
export type SnapshotChunk = {
  readonly id: TransferId;
  readonly file: number;
  readonly position: number;
  readonly bytes: Uint8Array;
};
export type SnapshotFileEnd = {
  readonly id: TransferId;
  readonly file: number;
  readonly crc: number;
};
/**
 * `resume` answers a begin, `progress` the other messages. `busy` says that the answer will take a
 * while.
 */
export type SnapshotStatus =
  | { readonly id: TransferId; readonly state: "resume" | "progress"; readonly at: SnapshotPlace }
  | { readonly id: TransferId; readonly state: "done" | "busy" }
  | { readonly id: TransferId; readonly state: "failed"; readonly reason: string };

/** Never reorder: the position in this list is sent. */
const STATES = ["resume", "progress", "done", "failed", "busy"] as const;

export function writeSnapshotBegin(writer: ByteWriter, begin: SnapshotBegin): void {
  writeId(writer, begin.id);
  writer.u8(begin.fresh ? 1 : 0);
  writer.varint(begin.term);
  writer.blob(begin.meta);
  writer.u32(begin.files.length);
  for (const { name, length } of begin.files) {
    writer.text(name);
    writer.varint(length);
  }
}

export function readSnapshotBegin(reader: ByteReader): SnapshotBegin {
  const id = readId(reader);
  const flag = reader.u8();
  if (flag > 1) throw new DecodeError("a flag is 0 or 1");
  const term = reader.varint() as Term;
  const meta = readShortBlob(reader, SNAPSHOT_META_BYTES_MAX).slice();
  return { id, fresh: flag === 1, term, meta, files: readFiles(reader) };
}

function readFiles(reader: ByteReader): SnapshotFile[] {
  const count = reader.u32();
  if (count > SNAPSHOT_FILES_MAX || count > reader.remaining / FILE_BYTES_MIN) {
    throw new DecodeError("count of files makes no sense");
  }
  const files: SnapshotFile[] = [];
  const names = new Set<string>();
  let total = 0;
  for (let i = 0; i < count; i++) {
    const name = readName(reader, FILE_NAME_BYTES_MAX);
    if (!isSnapshotFileName(name) || names.has(name)) throw new DecodeError("bad name of a file");
    names.add(name);
    const length = reader.varint();
    total += length;
    if (total > Number.MAX_SAFE_INTEGER) throw new DecodeError("files are too long");
    files.push({ name, length });
  }
  return files;
}

export function writeSnapshotChunk(writer: ByteWriter, chunk: SnapshotChunk): void {
  writeId(writer, chunk.id);
  writer.varint(chunk.file);
  writer.varint(chunk.position);
  writer.blob(chunk.bytes);
}

/** The bytes are a view. */
export function readSnapshotChunk(reader: ByteReader): SnapshotChunk {
  const id = readId(reader);
  const file = reader.varint();
  return { id, file, position: reader.varint(), bytes: reader.blob() };
}

export function writeSnapshotFileEnd(writer: ByteWriter, end: SnapshotFileEnd): void {
  writeId(writer, end.id);
  writer.varint(end.file);
  writer.u32(end.crc);
}

export function readSnapshotFileEnd(reader: ByteReader): SnapshotFileEnd {
  const id = readId(reader);
  const file = reader.varint();
  return { id, file, crc: reader.u32() };
}

export const writeSnapshotAbort = (writer: ByteWriter, id: TransferId): void => writeId(writer, id);
export const readSnapshotAbort = (reader: ByteReader): TransferId => readId(reader);

export function writeSnapshotStatus(writer: ByteWriter, status: SnapshotStatus): void {
  writeId(writer, status.id);
  writer.u8(STATES.indexOf(status.state));
  if (status.state === "failed") {
    writer.text(status.reason.slice(0, REASON_BYTES_MAX / 3));
  } else if (status.state === "resume" || status.state === "progress") {
    writer.varint(status.at.file);
    writer.varint(status.at.position);
    writer.u32(status.at.crc);
  }
}

export function readSnapshotStatus(reader: ByteReader): SnapshotStatus {
  const id = readId(reader);
  const state = STATES[reader.u8()];
  switch (state) {
    case undefined:
      throw new DecodeError("unknown state of a transfer");
    case "done":
    case "busy":
      return { id, state };
    case "failed":
      return { id, state, reason: readName(reader, REASON_BYTES_MAX) };
    default: {
      const file = reader.varint();
      const position = reader.varint();
      return { id, state, at: { file, position, crc: reader.u32() } };
    }
  }
}

const writeId = (writer: ByteWriter, id: TransferId): void => writer.raw(Buffer.from(id, "hex"));
const readId = (reader: ByteReader): TransferId =>
  Buffer.from(reader.raw(TRANSFER_ID_BYTES)).toString("hex");
