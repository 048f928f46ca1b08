/**
 * A frame between nodes, little-endian:
 *
 *     0  u8   version
 *     1  u8   kind
 *     2  u16  zero
 *     4  u32  shard
 *     8  u32  length of the payload
 *    12  u32  CRC-32 of the payload
 *    16  u64  session: names the link it was made for, zero during the handshake
 *    24  u32  CRC-32 of all before
 *    28       payload
 *
 * The session is a digest of what the handshake agreed on: cluster, sender, receiver, shard, the
 * sender's storage id and a nonce of each end. So a frame says all of that in 8 bytes, and one that
 * was recorded on a link is refused on every other.
 */
import { ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { crc32 } from "../lib/crc32.ts";
import type { ShardId } from "../lib/ids.ts";
import { FrameError } from "./frame-error.ts";

export const FRAME_VERSION = 1;
export const FRAME_HEADER_BYTES = 28;
const CRC_AT = 24;

/** The kind byte of each frame. Never renumber: nodes of different versions talk to each other. */
const KINDS = {
  challenge: 1,
  hello: 2,
  welcome: 3,
  refusal: 4,
  ping: 5,
  pong: 6,
  raft: 16,
  snapshot_begin: 32,
  snapshot_chunk: 33,
  snapshot_file_end: 34,
  snapshot_abort: 35,
  snapshot_status: 36,
  batches_request: 48,
  batches_reply: 49,
  commands: 64,
  outcomes: 65,
} as const;

export type FrameKind = keyof typeof KINDS;
const KIND_BY_TAG = new Map<number, FrameKind>(
  (Object.keys(KINDS) as FrameKind[]).map((kind) => [KINDS[kind], kind]),
);

export type Session = { readonly low: number; readonly high: number };
export const NO_SESSION: Session = { low: 0, high: 0 };
/** The header fields that are equal in all frames of a link. */
export type FrameAddress = { readonly shard: ShardId; readonly session: Session };
export type Frame = { readonly kind: FrameKind; readonly payload: Uint8Array };

/** Builds frames in one reused buffer: call `begin`, write to `payload`, call `finish`. */
export class FrameWriter {
  /** A larger buffer is released after its frame. */
  static readonly KEEP_BYTES = 4 * 1024 * 1024;
  #writer = new ByteWriter(4096);

  begin(kind: FrameKind): ByteWriter {
    if (this.#writer.length > FrameWriter.KEEP_BYTES) this.#writer = new ByteWriter(4096);
    const writer = this.#writer;
    writer.clear();
    writer.u8(FRAME_VERSION);
    writer.u8(KINDS[kind]);
    writer.reserve(FRAME_HEADER_BYTES - 2);
    return writer;
  }

  get length(): number {
    return this.#writer.length;
  }

  /** @returns a view, valid until the next `begin`. */
  finish({ shard, session }: FrameAddress): Uint8Array {
    const writer = this.#writer;
    const bytes = writer.view();
    bytes[2] = 0;
    bytes[3] = 0;
    writer.setU32(4, shard);
    writer.setU32(8, bytes.length - FRAME_HEADER_BYTES);
    writer.setU32(12, crc32(bytes.subarray(FRAME_HEADER_BYTES)));
    writer.setU32(16, session.low);
    writer.setU32(20, session.high);
    writer.setU32(CRC_AT, crc32(bytes.subarray(0, CRC_AT)));
    return bytes;
  }
}

/**
 * Decodes a frame. The payload is a view of `bytes`.
 *
 * @throws FrameError unless `bytes` are one complete frame that was made for this link.
 */
export function decodeFrame(bytes: Uint8Array, { shard, session }: FrameAddress): Frame {
  if (bytes.length < FRAME_HEADER_BYTES) throw new FrameError("too_short", "frame ends early");
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES);
  const version = view.getUint8(0);
  if (version !== FRAME_VERSION) throw new FrameError("version", `frame version ${version}`);
  if (view.getUint32(CRC_AT, true) !== crc32(bytes.subarray(0, CRC_AT))) {
    throw new FrameError("header_checksum", "checksum of the frame's header differs");
  }
  const payload = bytes.subarray(FRAME_HEADER_BYTES);
  if (view.getUint32(8, true) !== payload.length) {
    throw new FrameError("length", "frame says another length than it has");
  }
  if (view.getUint32(12, true) !== crc32(payload)) {
    throw new FrameError("payload_checksum", "checksum of the frame's payload differs");
  }
  const kind = KIND_BY_TAG.get(view.getUint8(1));
  if (kind === undefined || view.getUint16(2, true) !== 0) {
    throw new FrameError("kind", `unknown kind of frame ${view.getUint8(1)}`);
  }
  if (view.getUint32(4, true) !== shard) throw new FrameError("shard", "frame of another shard");
  if (view.getUint32(16, true) !== session.low || view.getUint32(20, true) !== session.high) {
    throw new FrameError("session", "frame of another link");
  }
  return { kind, payload };
}

/**
 * Reads a payload to its end. @throws FrameError if `read` does not consume exactly the payload.
 */
export function readPayload<T>(payload: Uint8Array, read: (reader: ByteReader) => T): T {
  try {
    const reader = new ByteReader(payload);
    const value = read(reader);
    if (reader.remaining > 0) throw new DecodeError("bytes after the end");
    return value;
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new FrameError("payload", cause.message, { cause });
  }
}

/** Reads a name. @throws DecodeError if it is empty or longer than `bytesMax` bytes. */
export function readName(reader: ByteReader, bytesMax: number): string {
  const before = reader.position;
  const name = reader.text();
  if (name.length === 0 || reader.position - before > bytesMax + 2) {
    throw new DecodeError("a name is empty or too long");
  }
  return name;
}

export function readShortBlob(reader: ByteReader, bytesMax: number): Uint8Array {
  const blob = reader.blob();
  if (blob.length > bytesMax) throw new DecodeError("a field is too long");
  return blob;
}
