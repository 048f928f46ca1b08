/**
 * The received part of a snapshot, in `shards/0/incoming/`, so that a restart resumes the transfer:
 *
 *     announcement   root, index and term of the checkpoint, names and lengths of its files
 *     place          all before it is durable; written anew as the transfer proceeds
 *
 * Both end with the CRC-32 of what is before; what cannot be read means that nothing is received.
 */
import type { Disk } from "../../env/disk.ts";
import { ByteReader, ByteWriter, DecodeError } from "../../lib/bytes.ts";
import { crc32 } from "../../lib/crc32.ts";
import { syncDirectory } from "../durable.ts";

const VERSION = 1;

export type SnapshotFileInfo = { readonly name: string; readonly length: number };

/** The checkpoint that is sent, and its files: `checkpoint` comes first. */
export type SnapshotAnnouncement = {
  readonly index: number;
  readonly term: number;
  readonly files: readonly SnapshotFileInfo[];
};

/**
 * Files before `file` are complete. The file itself has `position` bytes with this CRC-32 here.
 */
export type SnapshotPlace = {
  readonly file: number;
  readonly position: number;
  readonly crc: number;
};

export const SNAPSHOT_START: SnapshotPlace = { file: 0, position: 0, crc: 0 };

export type SnapshotRecord = { readonly root: number; readonly announcement: SnapshotAnnouncement };

/** @param shard the directory of the shard, such as `shards/0`. */
export const incomingDirectory = (shard: string): string => `${shard}/incoming`;
const announcementPath = (shard: string) => `${incomingDirectory(shard)}/announcement`;
const placePath = (shard: string) => `${incomingDirectory(shard)}/place`;

export async function writeRecord(disk: Disk, shard: string, record: SnapshotRecord) {
  const { root, announcement } = record;
  const writer = new ByteWriter(1024);
  writer.u32(VERSION);
  writer.varint(root);
  writer.varint(announcement.index);
  writer.varint(announcement.term);
  writer.varint(announcement.files.length);
  for (const { name, length } of announcement.files) {
    writer.text(name);
    writer.varint(length);
  }
  await disk.writeWhole(announcementPath(shard), sealed(writer));
}

/** @returns null if no transfer is in progress. */
export async function readRecord(disk: Disk, shard: string): Promise<SnapshotRecord | null> {
  return decoded(await disk.readWhole(announcementPath(shard)), (reader) => {
    const root = reader.varint();
    const index = reader.varint();
    const term = reader.varint();
    const files = Array.from({ length: reader.varint() }, () => ({
      name: reader.text(),
      length: reader.varint(),
    }));
    return { root, announcement: { index, term, files } };
  });
}

export async function incomingRoot(disk: Disk, shard: string): Promise<number | null> {
  return (await readRecord(disk, shard))?.root ?? null;
}

/**
 * Reads the resume position.
 *
 * @param root of the transfer. A position of another root is ignored.
 */
export async function writePlace(disk: Disk, shard: string, root: number, place: SnapshotPlace) {
  const writer = new ByteWriter(64);
  writer.u32(VERSION);
  for (const value of [root, place.file, place.position, place.crc]) writer.varint(value);
  await disk.writeWhole(placePath(shard), sealed(writer));
}

export async function readPlace(disk: Disk, shard: string, root: number): Promise<SnapshotPlace> {
  const place = decoded(await disk.readWhole(placePath(shard)), (reader) => {
    const owner = reader.varint();
    const found = { file: reader.varint(), position: reader.varint(), crc: reader.varint() };
    return owner === root ? found : null;
  });
  return place ?? SNAPSHOT_START;
}

/** Ends the transfer: no snapshot is being received from here on. */
export async function removeRecord(disk: Disk, shard: string): Promise<void> {
  const directory = incomingDirectory(shard);
  if ((await disk.list(directory)).length === 0) return;
  await disk.remove(announcementPath(shard));
  await disk.remove(placePath(shard));
  await syncDirectory(disk, directory);
}

function sealed(writer: ByteWriter): Uint8Array {
  writer.u32(crc32(writer.view()));
  return writer.take();
}

function decoded<T>(bytes: Uint8Array | null, read: (reader: ByteReader) => T): T | null {
  if (bytes === null || bytes.length < 4) return null;
  const body = bytes.subarray(0, bytes.length - 4);
  try {
    if (new ByteReader(bytes.subarray(body.length)).u32() !== crc32(body)) return null;
    const reader = new ByteReader(body);
    return reader.u32() === VERSION ? read(reader) : null;
  } catch (cause) {
    if (cause instanceof DecodeError) return null;
    throw cause;
  }
}
