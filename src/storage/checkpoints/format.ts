import type { DiskFile } from "../../env/disk.ts";
import { ByteReader, ByteWriter, DecodeError } from "../../lib/bytes.ts";
import { ChainEncoder } from "./frame-chain.ts";

export { checkpointIndex } from "./names.ts";

/**
 * A checkpoint file is a chain of frames (frame-chain.ts), seeded with the index in its name: one
 * head, at least one manifest frame, machine frames, one end, and nothing after it.
 */
export const KIND_HEAD = 1;
export const KIND_MANIFEST = 2;
export const KIND_MACHINE = 3;
export const KIND_END = 4;

const MAGIC = 0x50435941; // "AYCP"
const VERSION = 1;

/** The fields of a checkpoint that Raft needs. `configuration` is opaque here. */
export type CheckpointMeta = {
  /** The last entry whose effects are included, and its term. */
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

/** Appends frames to a file. */
export class CheckpointFrameWriter {
  readonly #file: DiskFile;
  readonly #chain: ChainEncoder;
  #position = 0;

  constructor(file: DiskFile, index: number) {
    this.#file = file;
    this.#chain = new ChainEncoder(firstSeed(index));
  }

  get position(): number {
    return this.#position;
  }

  async write(kind: number, payload: Uint8Array): Promise<void> {
    const bytes = this.#chain.encode(kind, payload);
    await this.#file.write(this.#position, bytes);
    this.#position += bytes.length;
  }
}
