/**
 * An entry of the log, as the machine reads it:
 *
 *     u8 version, u64 time in ms stamped by the leader, varint number of commands, commands
 *
 * and a command: u8 tag, varint length of the body, body. Entries live as long as journals do: a
 * command that changes gets a new tag, and an old one stays readable for ever.
 */
import { assert } from "../lib/assert.ts";
import { ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import { appendCommand, UnknownEntryError } from "../lib/command-kind.ts";
import type { Millis } from "../lib/ids.ts";
import { type Command, kindOf, kindOfTag } from "./commands.ts";

export const ENTRY_VERSION = 1;

/** The count's varint has a fixed width, so that it can be filled in when the entry is closed. */
const COUNT_BYTES = 4;
const COUNT_MAX = 2 ** 28 - 1;
const AT_TIME = 1;
const AT_ENTRY_COUNT = 9;

/**
 * Begins an entry in the writer; commands are appended to it as they come.
 *
 *     const start = openEntry(writer);
 *     appendCommand(writer, createTopic, { name: "orders", partitions: 8 });
 *     closeEntry(writer, start, now, 1);
 *
 * @returns where it begins, for `closeEntry`.
 */
export function openEntry(writer: ByteWriter): number {
  const start = writer.length;
  writer.u8(ENTRY_VERSION);
  writer.u64(0);
  writer.u32(0);
  return start;
}

/** @param at the leader's clock, which must not be below that of the entry before. */
export function closeEntry(writer: ByteWriter, start: number, at: Millis, count: number): void {
  assert(count >= 0 && count <= COUNT_MAX, "an entry has a bounded number of commands");
  assert(Number.isSafeInteger(at) && at >= 0, "the time of an entry is a safe integer");
  writer.setU32(start + AT_TIME, at >>> 0);
  writer.setU32(start + AT_TIME + 4, Math.floor(at / 2 ** 32));
  let padded = 0;
  for (let i = 0; i < COUNT_BYTES; i++) {
    const more = i < COUNT_BYTES - 1 ? 128 : 0;
    padded += (((count >>> (7 * i)) & 127) | more) * 2 ** (8 * i);
  }
  writer.setU32(start + AT_ENTRY_COUNT, padded);
}

/** Sets the time of an entry that was closed before it was known. */
export function stampEntry(entry: Uint8Array, at: Millis): void {
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  view.setUint32(AT_TIME, at >>> 0, true);
  view.setUint32(AT_TIME + 4, Math.floor(at / 2 ** 32), true);
}

/** Appends any command. `appendCommand` does the same for a known kind. */
export function encodeCommand(writer: ByteWriter, command: Command): void {
  appendCommand(writer, kindOf(command.type), command);
}

export type DecodedEntry = { readonly at: Millis; readonly commands: readonly Command[] };

/**
 * Byte fields of the commands are views of `payload`.
 *
 * @throws UnknownEntryError for a version or command of a later release.
 * @throws DecodeError if the bytes are damaged.
 */
export function decodeEntry(payload: Uint8Array): DecodedEntry {
  const reader = new ByteReader(payload);
  const version = reader.u8();
  if (version !== ENTRY_VERSION) throw new UnknownEntryError(`entry version ${version}`);
  const at = reader.u64() as Millis;
  const count = reader.varint();
  const commands: Command[] = [];
  for (let i = 0; i < count; i++) commands.push(decodeCommand(reader));
  if (reader.remaining !== 0) throw new DecodeError("bytes after the last command");
  return { at, commands };
}

function decodeCommand(reader: ByteReader): Command {
  const tag = reader.u8();
  const length = reader.varint();
  if (length > reader.remaining) throw new DecodeError("command is cut off");
  const end = reader.position + length;
  const kind = kindOfTag(tag);
  if (kind === undefined) throw new UnknownEntryError(`command tag ${tag}`);
  const command = kind.decode(reader, end);
  if (reader.position !== end) throw new DecodeError("command has another length than it says");
  return command;
}
