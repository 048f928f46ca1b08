/**
 * Levels of the log: what its entries may hold. Each level adds to the one before. A leader uses a level only
 * after every member has told that it knows it, and after a command has raised the level in the log.
 * Members of an earlier version therefore never meet entries or records that they do not know.
 */
import { type CommandKind, UnknownEntryError } from "../lib/command-kind.ts";

export const LEVEL_FIRST = 0;
/** Batches of format version 2: records with headers. */
export const LEVEL_HEADERS = 1;

/** Commands and parts of the state with tags from 20: what the descriptors of this level name. */
export const LEVEL_SHARED_WORK = 2;

/** The highest level that this program knows. */
export const LEVEL_KNOWN = LEVEL_SHARED_WORK;

export type RaiseLevel = { readonly type: "raise_level"; readonly level: number };

export type RaiseLevelResult = {
  readonly ok: true;
  readonly type: "raise_level";
  /** The level in force. */
  readonly level: number;
};

/** Never lowers it. */
export function applyRaiseLevel(state: { level: number }, { level }: RaiseLevel): RaiseLevelResult {
  if (level > state.level) state.level = level;
  return { ok: true, type: "raise_level", level: state.level };
}

export const raiseLevel: CommandKind<RaiseLevel, RaiseLevelResult, { level: number }> = {
  type: "raise_level",
  tag: 19,
  encode: (body, { level }) => body.varint(level),
  decode: (body) => ({ type: "raise_level", level: knownLevel(body.varint()) }),
  apply: (state, command) => applyRaiseLevel(state, command),
};

function knownLevel(level: number): number {
  if (level > LEVEL_KNOWN) throw new UnknownEntryError(`level ${level} of the log`);
  return level;
}
