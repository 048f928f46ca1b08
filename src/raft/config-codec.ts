/** Encodes membership: the data of `conf_change` entries, and configurations in checkpoints. */
import { ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { checkConfiguration } from "./membership.ts";
import type { ConfChange, Configuration, MembershipChange, NodeId, Transition } from "./types.ts";

const VERSION = 1;
const TRANSITIONS: readonly Transition[] = ["auto", "joint_implicit", "joint_explicit"];
const CHANGE_TYPES: readonly MembershipChange["type"][] = ["add_voter", "add_learner", "remove"];
const LEAVE_JOINT: ConfChange = { transition: "auto", changes: [] };

/** u8 version, u8 transition, varint count, then per change: u8 type, text id. */
export function encodeConfChange(change: ConfChange): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u8(VERSION);
  writer.u8(TRANSITIONS.indexOf(change.transition));
  writer.varint(change.changes.length);
  for (const { type, id } of change.changes) {
    writer.u8(CHANGE_TYPES.indexOf(type));
    writer.text(id);
  }
  return writer.take();
}

/** Decodes a change. Empty data means: leave the joint configuration. @throws DecodeError */
export function decodeConfChange(bytes: Uint8Array): ConfChange {
  if (bytes.length === 0) return LEAVE_JOINT;
  const reader = new ByteReader(bytes);
  readVersion(reader);
  const transition = pick(TRANSITIONS, reader.u8(), "transition");
  const count = readCount(reader, 2);
  const changes: MembershipChange[] = [];
  for (let i = 0; i < count; i++) {
    const type = pick(CHANGE_TYPES, reader.u8(), "membership change");
    changes.push({ type, id: reader.text() as NodeId });
  }
  expectEnd(reader);
  return { transition, changes };
}

/** u8 version, u8 autoLeave, then four lists (varint count, texts). */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const writer = new ByteWriter(128);
  writeConfiguration(writer, configuration);
  return writer.take();
}

/** @throws DecodeError also if the lists contradict each other. */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const reader = new ByteReader(bytes);
  const configuration = readConfiguration(reader);
  expectEnd(reader);
  return configuration;
}

export function writeConfiguration(writer: ByteWriter, configuration: Configuration): void {
  writer.u8(VERSION);
  writer.u8(configuration.autoLeave ? 1 : 0);
  writeIds(writer, configuration.voters);
  writeIds(writer, configuration.votersOutgoing);
  writeIds(writer, configuration.learners);
  writeIds(writer, configuration.learnersNext);
}

export function readConfiguration(reader: ByteReader): Configuration {
  readVersion(reader);
  const autoLeave = readFlag(reader);
  const configuration: Configuration = {
    voters: readIds(reader),
    votersOutgoing: readIds(reader),
    learners: readIds(reader),
    learnersNext: readIds(reader),
    autoLeave,
  };
  const broken = checkConfiguration(configuration);
  if (broken !== null) throw new DecodeError(`configuration is not valid: ${broken}`);
  return configuration;
}

export function readFlag(reader: ByteReader): boolean {
  const value = reader.u8();
  if (value > 1) throw new DecodeError("flag is neither 0 nor 1");
  return value === 1;
}

/**
 * Reads a count. Refuses one that the remaining bytes cannot hold, before anything is allocated.
 */
export function readCount(reader: ByteReader, itemBytesMin: number): number {
  const count = reader.varint();
  if (count > reader.remaining / itemBytesMin) throw new DecodeError("count beyond the frame");
  return count;
}

export function expectEnd(reader: ByteReader): void {
  if (reader.remaining > 0) throw new DecodeError("bytes after the end");
}

function writeIds(writer: ByteWriter, ids: readonly NodeId[]): void {
  writer.varint(ids.length);
  for (const id of ids) writer.text(id);
}

function readIds(reader: ByteReader): NodeId[] {
  const count = readCount(reader, 1);
  const ids: NodeId[] = [];
  for (let i = 0; i < count; i++) {
    const id = reader.text() as NodeId;
    const before = ids[i - 1];
    if (before !== undefined && before >= id) throw new DecodeError("ids are not sorted");
    ids.push(id);
  }
  return ids;
}

function readVersion(reader: ByteReader): void {
  const version = reader.u8();
  if (version !== VERSION) throw new DecodeError(`unknown version ${version}`);
}

function pick<T>(values: readonly T[], at: number, what: string): T {
  const value = values[at];
  if (value === undefined) throw new DecodeError(`unknown ${what} ${at}`);
  return value;
}
