import type { Disk, DiskFile } from "../../env/disk.ts";
import { DecodeError } from "../../lib/bytes.ts";
import { readManifest } from "../partitions/manifest.ts";
import { CheckpointDamaged } from "./damaged.ts";
import {
  type CheckpointMeta,
  decodeHead,
  firstSeed,
  KIND_END,
  KIND_HEAD,
  KIND_MACHINE,
  KIND_MANIFEST,
} from "./format.ts";
import { ChainReader, type Frame } from "./frame-chain.ts";

/**
 * A checkpoint that was verified from end to end. The machine's chunks are read from the file in
 * the pieces in which they were written. Call `close` when done.
 */
export class LoadedCheckpoint {
  readonly meta: CheckpointMeta;
  readonly manifest: Uint8Array;
  /** The length of the file. */
  readonly length: number;
  readonly #file: DiskFile;
  readonly #frames: ChainReader;
  #next: Frame | null;

  constructor(file: DiskFile, length: number, frames: ChainReader, head: Head) {
    this.length = length;
    this.meta = head.meta;
    this.manifest = head.manifest;
    this.#next = head.next;
    this.#file = file;
    this.#frames = frames;
  }

  /**
   * Returns the next chunk of the machine's snapshot, or null after the last. Valid until the next
   * call.
   */
  async next(): Promise<Uint8Array | null> {
    const frame = this.#next ?? (await this.#frames.next());
    this.#next = null;
    if (frame.kind === KIND_MACHINE) return frame.payload;
    if (frame.kind !== KIND_END) throw this.#frames.damaged("frame of a wrong kind");
    this.#next = frame;
    return null;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

type Head = {
  readonly meta: CheckpointMeta;
  readonly manifest: Uint8Array;
  /** The first frame after the manifest. */
  readonly next: Frame;
};

/**
 * Opens a checkpoint and reads it twice: once to verify it, so that a damaged one is never restored
 * in part, and then for the caller.
 *
 * @throws CheckpointDamaged
 */
export async function openCheckpoint(
  disk: Disk,
  path: string,
  index: number,
): Promise<LoadedCheckpoint> {
  const file = await disk.open(path, "existing");
  try {
    const length = await verify(file, path, index);
    const frames = new ChainReader(file, path, firstSeed(index));
    return new LoadedCheckpoint(file, length, frames, await readHead(frames, path, index));
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Reads the metadata of a checkpoint whose remainder may be damaged.
 *
 * @returns null if the metadata cannot be read either.
 */
export async function readCheckpointHead(
  disk: Disk,
  path: string,
  index: number,
): Promise<CheckpointMeta | null> {
  const file = await disk.open(path, "existing");
  try {
    const { kind, payload } = await new ChainReader(file, path, firstSeed(index)).next();
    return kind === KIND_HEAD ? decodeHead(payload) : null;
  } catch (error) {
    if (error instanceof CheckpointDamaged || error instanceof DecodeError) return null;
    throw error;
  } finally {
    await file.close();
  }
}

/** @returns the length of the file. */
async function verify(file: DiskFile, path: string, index: number): Promise<number> {
  const frames = new ChainReader(file, path, firstSeed(index));
  const { manifest, next: first } = await readHead(frames, path, index);
  // Only here, because decoding the manifest of very many partitions takes long.
  decoded(path, () => readManifest(manifest, () => undefined));
  let next = first;
  while (next.kind === KIND_MACHINE) next = await frames.next();
  if (next.kind !== KIND_END) throw frames.damaged("frame of a wrong kind");
  await frames.expectEnd();
  return frames.position;
}

/** Reads up to the manifest, which is not decoded. */
async function readHead(frames: ChainReader, path: string, index: number): Promise<Head> {
  const head = await frames.next();
  if (head.kind !== KIND_HEAD) throw frames.damaged("frame of a wrong kind");
  const parts: Uint8Array[] = [];
  let next = await frames.next();
  for (; next.kind === KIND_MANIFEST; next = await frames.next()) parts.push(next.payload.slice());
  if (parts.length === 0) throw frames.damaged("no manifest");
  const manifest = join(parts);
  const meta = decoded(path, () => decodeHead(head.payload));
  if (meta.index !== index) throw new CheckpointDamaged(path, 0, "index differs from the name");
  return { meta, manifest, next };
}

function decoded<T>(path: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof DecodeError) throw new CheckpointDamaged(path, 0, cause.message);
    throw cause;
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
