import { type Records, readRecords } from "../broker/records.ts";
import { type ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import type { LeveledKind } from "../lib/command-kind.ts";
import { LEVEL_SHARED_WORK } from "../lib/log-levels.ts";
import { NO_RECORDS } from "./records.ts";
import { contextOf, type DurableContext, type DurableEffects, type HasDurable } from "./state.ts";

/** Level of the log that streams need. */
export const STREAMS_LEVEL = LEVEL_SHARED_WORK;

type Typed = { readonly type: string };
type Kind<C extends Typed, R> = LeveledKind<C, R, HasDurable, DurableEffects>;
type Described<C extends Typed, R> = Omit<Kind<C, R>, "level" | "feature" | "apply"> & {
  readonly applyTo: (context: DurableContext, command: C) => R;
};

/** Makes the kind of a command of this folder. */
export function durableKind<C extends Typed, R>({ applyTo, ...kind }: Described<C, R>): Kind<C, R> {
  return {
    ...kind,
    level: STREAMS_LEVEL,
    feature: "Durable streams",
    apply: (state, command, effects) => applyTo(contextOf(state, effects), command),
  };
}

/** An optional text: u8 1 and the text, or u8 0. */
export function writeOptional(body: ByteWriter, text: string | null): void {
  body.u8(text === null ? 0 : 1);
  if (text !== null) body.text(text);
}

export const readOptional = (body: ByteReader): string | null =>
  body.u8() === 0 ? null : body.text();

/** An optional number: varint of it + 1, 0 if it is absent. */
export const writeOptionalNumber = (body: ByteWriter, value: number | null): void =>
  body.varint(value === null ? 0 : value + 1);

export function readOptionalNumber(body: ByteReader): number | null {
  const value = body.varint();
  return value === 0 ? null : value - 1;
}

/** As `readRecords`, also for no records at all. */
export function readStreamRecords(body: ByteReader, end: number): Records {
  const records = readRecords(body, end);
  const isEmpty = records.count === 0;
  if (isEmpty !== (records.batches.length === 0)) throw new DecodeError("records without a batch");
  return isEmpty ? NO_RECORDS : records;
}
