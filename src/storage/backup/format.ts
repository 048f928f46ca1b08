/**
 * A backup archive: one checkpoint with its segments in one stream of bytes. It is a chain of frames
 * (frame-chain.ts): one head, the list of files in pieces, the bytes of the files in that order, one
 * end, and nothing after it. An archive without its end is incomplete. See DESIGN.md.
 */
import { ByteReader, ByteWriter, DecodeError } from "../../lib/bytes.ts";
import { FRAME_HEADER_BYTES } from "../checkpoints/frame-chain.ts";
import type { SnapshotFileInfo } from "../checkpoints/incoming.ts";
import { isSharedName } from "../checkpoints/transfer-names.ts";

export const BACKUP_HEAD = 1;
export const BACKUP_LIST = 2;
export const BACKUP_DATA = 3;
export const BACKUP_END = 4;
/** The magic number, which also seeds the chain: "AyBk". */
export const BACKUP_SEED = 0x6b427941;
/** Maximum payload of a frame of the list or of data. A data frame ends where its file ends. */
export const BACKUP_PIECE_BYTES = 1024 * 1024;

const MAGIC = 0x6b427941;
/** Each segment is a file of its own. */
const VERSION_OWN = 1;
/** Files that partitions share are among the files. */
const VERSION_SHARED = 2;
/** Enough for 100,000 partitions with ten segments each. */
const FILES_MAX = 1_000_000;

export type BackupHead = {
  /** The last entry whose effects are included, and its term. */
  readonly index: number;
  readonly term: number;
  /** The cluster and the node that made the backup. */
  readonly clusterId: string;
  readonly nodeId: string;
  /** Wall clock of that node, in milliseconds. */
  readonly takenAtMs: number;
};

/** A head that was read, with the version of its format. */
export type ReadHead = BackupHead & { readonly format: number };

export type BackupContents<Head = BackupHead> = {
  readonly head: Head;
  /** The checkpoint, then its segments, named as in checkpoints/transfer-names.ts. */
  readonly files: readonly SnapshotFileInfo[];
};

/** Thrown if the bytes are not an intact backup. No part of it may be used. */
export class BackupDamaged extends Error {
  override readonly name = "BackupDamaged";
  readonly position: number;

  constructor(archive: string, position: number, reason: string, options?: ErrorOptions) {
    super(`${archive} is not a whole backup: at position ${position}: ${reason}`, options);
    this.position = position;
  }
}

export function encodeBackupHead({ head, files }: BackupContents): Uint8Array {
  const writer = new ByteWriter(128);
  writer.u32(MAGIC);
  writer.u32(files.some(({ name }) => isSharedName(name)) ? VERSION_SHARED : VERSION_OWN);
  writer.u64(head.index);
  writer.u64(head.term);
  writer.text(head.clusterId);
  writer.text(head.nodeId);
  writer.u64(head.takenAtMs);
  writer.varint(files.length);
  writer.varint(encodeBackupList(files).length);
  return writer.take();
}

/**
 * Decodes the head.
 *
 * @returns also the number of files in the list and its length.
 * @throws DecodeError
 */
export function decodeBackupHead(bytes: Uint8Array) {
  const reader = new ByteReader(bytes);
  if (reader.u32() !== MAGIC) throw new DecodeError("not a backup");
  const version = reader.u32();
  if (version !== VERSION_OWN && version !== VERSION_SHARED) {
    throw new DecodeError(
      `backup format ${version}, and this version of Ayder reads ${VERSION_OWN} and ${VERSION_SHARED}`,
    );
  }
  const head: ReadHead = {
    format: version,
    index: reader.u64(),
    term: reader.u64(),
    clusterId: reader.text(),
    nodeId: reader.text(),
    takenAtMs: reader.u64(),
  };
  const fileCount = reader.varint();
  const listBytes = reader.varint();
  if (reader.remaining > 0) throw new DecodeError("bytes after the head");
  if (fileCount > FILES_MAX) throw new DecodeError(`${fileCount} files make no sense`);
  return { head, fileCount, listBytes };
}

export function encodeBackupList(files: readonly SnapshotFileInfo[]): Uint8Array {
  const writer = new ByteWriter(1024);
  for (const { name, length } of files) {
    writer.text(name);
    writer.varint(length);
  }
  return writer.take();
}

/** @throws DecodeError */
export function decodeBackupList(bytes: Uint8Array, count: number): SnapshotFileInfo[] {
  const reader = new ByteReader(bytes);
  const files: SnapshotFileInfo[] = [];
  for (let i = 0; i < count; i++) files.push({ name: reader.text(), length: reader.varint() });
  if (reader.remaining > 0) throw new DecodeError("bytes after the list of files");
  return files;
}

/** Returns the length of the whole archive, which is known before any file is read. */
export function backupBytes(contents: BackupContents): number {
  const { files } = contents;
  let bytes = framed(encodeBackupHead(contents).length) + framed(encodeBackupList(files).length);
  for (const { length } of files) bytes += framed(length);
  return bytes + FRAME_HEADER_BYTES;
}

const framed = (length: number): number =>
  length + Math.ceil(length / BACKUP_PIECE_BYTES) * FRAME_HEADER_BYTES;
