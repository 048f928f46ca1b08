/** A key that was written once with a time to live. */
import type { KeyHistory } from "./kv.ts";
import { endOf } from "./operations.ts";
import { Violation } from "./violation.ts";

/**
 * It must be there until `call + ttl - error`, be gone after `ret + ttl + error`, and is free to be
 * either in between.
 *
 * @throws Violation
 */
export function checkTtl({ puts, gets }: KeyHistory, clockErrorMs: number): void {
  const [put] = puts;
  const ttlMs = put?.args.ttlMs ?? null;
  if (put === undefined || ttlMs === null || puts.length > 1) {
    throw new Error("a key with a time to live is to be written once");
  }
  const mustUntil = put.call + ttlMs - clockErrorMs;
  const goneFrom = endOf(put) + ttlMs + clockErrorMs;
  for (const get of gets) {
    if (get.outcome !== "ok" || !get.args.linearizable) continue;
    const present = get.result?.value != null;
    const written = put.outcome === "ok" && get.call > put.ret;
    if (!present && written && get.ret < mustUntil) {
      throw new Violation("kv-ttl", "gone before its time", put, get);
    }
    if (present && get.call > goneFrom)
      throw new Violation("kv-ttl", "there after its time", put, get);
  }
}
