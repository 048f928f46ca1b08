/** Payload of a `raft` frame: u32 count, then that many messages, back to back. */
import type { ByteReader, ByteWriter } from "../lib/bytes.ts";
import { DecodeError } from "../lib/bytes.ts";
import type { NodeId } from "../lib/ids.ts";
import { readMessage, writeMessage } from "../raft/codec.ts";
import type { Message } from "../raft/types.ts";
import { readPayload } from "./envelope.ts";
import { FrameError } from "./frame-error.ts";

/** The minimum size of a message: version, type, two names of one letter, term. */
const MESSAGE_BYTES_MIN = 7;
/** Upper bound of the bytes of a message, without the data of its entries. */
const ENTRY_BYTES_EXTRA = 16;
const MESSAGE_BYTES_EXTRA = 1024;

/** Begins the payload. `endMessages` fills in the count. @returns the position of the count. */
export const beginMessages = (writer: ByteWriter): number => writer.reserve(4);
export const addMessage = (writer: ByteWriter, message: Message): void =>
  writeMessage(writer, message);
export const endMessages = (writer: ByteWriter, at: number, count: number): void =>
  writer.setU32(at, count);

/** Returns an upper bound of a message's bytes, computed from its entries. */
export function messageBytesMax(message: Message): number {
  if (message.type !== "append_request") return MESSAGE_BYTES_EXTRA;
  let bytes = MESSAGE_BYTES_EXTRA;
  for (const entry of message.entries) bytes += entry.data.length + ENTRY_BYTES_EXTRA;
  return bytes;
}

/**
 * Decodes all messages or none.
 *
 * @throws FrameError also if a message is not from `from` to `to`.
 */
export function decodeMessages(payload: Uint8Array, from: NodeId, to: NodeId): Message[] {
  const messages = readPayload(payload, readMessages);
  for (const message of messages) {
    if (message.from !== from || message.to !== to) {
      throw new FrameError("sender", "a message of another node than the link's");
    }
  }
  return messages;
}

function readMessages(reader: ByteReader): Message[] {
  const count = reader.u32();
  if (count === 0 || count > reader.remaining / MESSAGE_BYTES_MIN) {
    throw new DecodeError("count of messages makes no sense");
  }
  const messages: Message[] = [];
  for (let i = 0; i < count; i++) messages.push(readMessage(reader));
  return messages;
}
