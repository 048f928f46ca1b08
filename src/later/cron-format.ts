/** Bytes of the definition of a schedule, in commands and in snapshots. */
import { type ByteReader, type ByteWriter, DecodeError, sameBytes } from "../lib/bytes.ts";
import { knownFlags } from "../lib/command-kind.ts";
import type { CatchUp, CronDefinition } from "./state.ts";

const HAS_KEY = 1;
/** Never renumber. */
const CATCH_UPS: readonly CatchUp[] = ["none", "one", "all"];

export function encodeCronDefinition(body: ByteWriter, definition: CronDefinition): void {
  const { cron, tz, topic, key, value, headers, catchUp } = definition;
  body.text(cron);
  body.text(tz);
  body.text(topic);
  body.u8(key === null ? 0 : HAS_KEY);
  if (key !== null) body.blob(key);
  body.blob(value);
  body.blob(headers);
  body.u8(CATCH_UPS.indexOf(catchUp));
}

/** Copies its bytes, so that they do not keep an entry in memory. */
export function decodeCronDefinition(body: ByteReader): CronDefinition {
  const cron = body.text();
  const tz = body.text();
  const topic = body.text();
  const flags = knownFlags(body.u8(), HAS_KEY);
  const key = flags === 0 ? null : body.blob().slice();
  const value = body.blob().slice();
  const headers = body.blob().slice();
  const catchUp = CATCH_UPS[body.u8()];
  if (catchUp === undefined) throw new DecodeError("unknown way to catch up");
  return { cron, tz, topic, key, value, headers, catchUp };
}

export const isSameCron = (a: CronDefinition, b: CronDefinition): boolean =>
  a.cron === b.cron &&
  a.tz === b.tz &&
  a.topic === b.topic &&
  a.catchUp === b.catchUp &&
  sameKey(a.key, b.key) &&
  sameBytes(a.value, b.value) &&
  sameBytes(a.headers, b.headers);

const sameKey = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a === null || b === null ? a === b : sameBytes(a, b);

/** A time that may be absent is stored plus one. */
export const encodeTime = (body: ByteWriter, timeMs: number | null): void =>
  body.varint(timeMs === null ? 0 : timeMs + 1);

export function decodeTime(body: ByteReader): number | null {
  const time = body.varint();
  return time === 0 ? null : time - 1;
}
