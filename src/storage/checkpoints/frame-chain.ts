/**
 * A chain of frames, little-endian, as checkpoints and backups are written:
 *
 *     0  u32  length of the payload
 *     4  u32  CRC-32 of kind and payload, seeded with the length and the checksum of the frame
 *             before; the first with a number that the reader must know
 *     8  u8   kind
 *     9       payload
 *
 * Each checksum depends on the one before, so the checksum of the last frame covers all of them.
 */
import { crc32 } from "../../lib/crc32.ts";
import { CheckpointDamaged } from "./damaged.ts";

export const FRAME_HEADER_BYTES = 9;
/** Maximum size of a frame, and so of the memory that a reader needs. */
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;

export type Frame = { readonly kind: number; readonly payload: Uint8Array };

/**
 * A source of frames. Returns at most `length` bytes from `position`, and fewer only at the end.
 */
export type FrameSource = { read(position: number, length: number): Promise<Uint8Array> };

function frameCrc(kind: number, payload: Uint8Array, before: number): number {
  const seed = (before ^ payload.length) >>> 0;
  return crc32(payload, crc32(Uint8Array.of(kind), seed));
}

/** Encodes frames, one after the other. */
export class ChainEncoder {
  #crc: number;

  constructor(seed: number) {
    this.#crc = seed;
  }

  encode(kind: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
    if (payload.length > FRAME_BYTES_MAX)
      throw new RangeError("the payload of a frame is too large");
    this.#crc = frameCrc(kind, payload, this.#crc);
    const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, payload.length, true);
    view.setUint32(4, this.#crc, true);
    bytes[8] = kind;
    bytes.set(payload, FRAME_HEADER_BYTES);
    return bytes;
  }
}

/** Reads frames one after the other with a bounded buffer and verifies each. */
export class ChainReader {
  readonly #source: FrameSource;
  readonly #name: string;
  #buffer: Uint8Array = new Uint8Array(0);
  /** The position of the next frame in the buffer and in the file. */
  #at = 0;
  position = 0;
  #crc: number;

  /** @param name the name of the file, for errors. */
  constructor(source: FrameSource, name: string, seed: number) {
    this.#source = source;
    this.#name = name;
    this.#crc = seed;
  }

  /**
   * Returns the next frame. The payload is valid until the next call.
   *
   * @throws CheckpointDamaged if the frame is not intact.
   */
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

  /** @throws CheckpointDamaged if bytes follow. */
  async expectEnd(): Promise<void> {
    const rest = await this.#source.read(this.position, 1);
    if (rest.length > 0) throw this.damaged("bytes after the end");
  }

  damaged(reason: string): CheckpointDamaged {
    return new CheckpointDamaged(this.#name, this.position, reason);
  }

  async #fill(needed: number): Promise<void> {
    if (this.#buffer.length - this.#at >= needed) return;
    this.#buffer = await this.#source.read(this.position, Math.max(needed, READ_BYTES));
    this.#at = 0;
    if (this.#buffer.length < needed) throw this.damaged("the file ends early");
  }
}
