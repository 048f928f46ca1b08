/** The command that raises the level of the log: see `lib/log-levels.ts`. */
import { type CommandKind, UnknownEntryError } from "../lib/command-kind.ts";
import { LEVEL_KNOWN } from "../lib/log-levels.ts";

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
