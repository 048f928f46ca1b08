import type { DiskFile } from "../env/disk.ts";
import { ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { crc32 } from "../lib/crc32.ts";
import { CheckpointDamaged } from "./checkpoint-damaged.ts";

export { checkpointIndex } from "./checkpoint-names.ts";

/**
 * A checkpoint file, little-endian, is a chain of frames:
 *
 *     0  u32  length of the payload
 *     4  u32  CRC-32 of kind and payload, seeded with the length and the checksum of the frame
 *             before; the first with the index that the file's name says
 *     8  u8   kind: 1 head, 2 manifest, 3 machine, 4 end
 *     9       payload
 *
 * One head, at least one manifest frame, machine frames, one end, and nothing after it. As each
 * checksum hangs on the one before, that of the end frame vouches for the whole file.
 */
export const FRAME_HEADER_BYTES = 9;
export const KIND_HEAD = 1;
export const KIND_MANIFEST = 2;
export const KIND_MACHINE = 3;
export const KIND_END = 4;

const MAGIC = 0x50435941; // "AYCP"
const VERSION = 1;
/** Upper bound of one frame, and thus of what a load holds in memory at a time. */
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;

/** What raft has to know of a checkpoint; `configuration` is opaque here. */
export type CheckpointMeta = {
  /** Last entry whose effects are included, and its term. */
  readonly index: number;
  readonly term: number;
  readonly clusterId: string;
  readonly configuration: Uint8Array;
};

export function encodeHead(meta: CheckpointMeta): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u32(MAGIC);
  writer.u32(VERSION);
  writer.u64(meta.index);
  writer.u64(meta.term);
  writer.text(meta.clusterId);
  writer.blob(meta.configuration);
  return writer.take();
}

/** @throws DecodeError */
export function decodeHead(bytes: Uint8Array): CheckpointMeta {
  const reader = new ByteReader(bytes);
  if (reader.u32() !== MAGIC) throw new DecodeError("not a checkpoint");
  const version = reader.u32();
  if (version !== VERSION) throw new DecodeError(`checkpoint version ${version} is not known`);
  const index = reader.u64();
  const term = reader.u64();
  const clusterId = reader.text();
  const configuration = reader.blob().slice();
  return { index, term, clusterId, configuration };
}

export const firstSeed = (index: number): number =>
  (Math.imul(index >>> 0, 0x9e3779b1) ^ Math.floor(index / 2 ** 32)) >>> 0;

function frameCrc(kind: number, payload: Uint8Array, before: number): number {
  const seed = (before ^ payload.length) >>> 0;
  return crc32(payload, crc32(Uint8Array.of(kind), seed));
}

/** Appends frames to a file. */
export class FrameWriter {
  readonly #file: DiskFile;
  #position = 0;
  #crc: number;

  constructor(file: DiskFile, index: number) {
    this.#file = file;
    this.#crc = firstSeed(index);
  }

  get position(): number {
    return this.#position;
  }

  async write(kind: number, payload: Uint8Array): Promise<void> {
    if (payload.length > FRAME_BYTES_MAX) throw new RangeError("checkpoint chunk is too large");
    this.#crc = frameCrc(kind, payload, this.#crc);
    const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, payload.length, true);
    view.setUint32(4, this.#crc, true);
    bytes[8] = kind;
    bytes.set(payload, FRAME_HEADER_BYTES);
    await this.#file.write(this.#position, bytes);
    this.#position += bytes.length;
  }
}

export type Frame = { readonly kind: number; readonly payload: Uint8Array };

/** Reads frames one after the other, with a bounded buffer, and checks each. */
export class FrameReader {
  readonly #file: DiskFile;
  readonly #path: string;
  #buffer: Uint8Array = new Uint8Array(0);
  /** Of the next frame, in the buffer and in the file. */
  #at = 0;
  position = 0;
  #crc: number;

  constructor(file: DiskFile, path: string, index: number) {
    this.#file = file;
    this.#path = path;
    this.#crc = firstSeed(index);
  }

  /** @throws CheckpointDamaged if there is no whole frame. */
  async next(): Promise<Frame> {
    await this.#fill(FRAME_HEADER_BYTES);
    const buffer = this.#buffer;
    const view = new DataView(buffer.buffer, buffer.byteOffset + this.#at, FRAME_HEADER_BYTES);
    const length = view.getUint32(0, true);
    const crc = view.getUint32(4, true);
    const kind = view.getUint8(8);
    if (length > FRAME_BYTES_MAX) throw this.damaged("frame length makes no sense");
    await this.#fill(FRAME_HEADER_BYTES + length);
    const from = this.#at + FRAME_HEADER_BYTES;
    const payload = this.#buffer.subarray(from, from + length);
    if (frameCrc(kind, payload, this.#crc) !== crc) throw this.damaged("checksum differs");
    this.#crc = crc;
    this.#at = from + length;
    this.position += FRAME_HEADER_BYTES + length;
    return { kind, payload };
  }

  /** @throws CheckpointDamaged if anything follows. */
  async expectEnd(): Promise<void> {
    const rest = await this.#file.read(this.position, 1);
    if (rest.length > 0) throw this.damaged("bytes after the end");
  }

  damaged(reason: string): CheckpointDamaged {
    return new CheckpointDamaged(this.#path, this.position, reason);
  }

  async #fill(needed: number): Promise<void> {
    if (this.#buffer.length - this.#at >= needed) return;
    this.#buffer = await this.#file.read(this.position, Math.max(needed, READ_BYTES));
    this.#at = 0;
    if (this.#buffer.length < needed) throw this.damaged("the file ends early");
  }
}
