/**
 * Goal: which keys are freed, and when the next one falls due, follow from the keys alone.
 * Method: random commands against a map, while one machine goes through snapshots and one does not.
 */
import { expect, test } from "bun:test";
import { EXPIRED_MEMORY_MS } from "../../src/kv/state.ts";
import { utf8 } from "../../src/lib/bytes.ts";
import type { Command } from "../../src/machine/commands.ts";
import { DUE_SOURCES, KEYS_FREED_PER_TICK_MAX } from "../../src/machine/due.ts";
import { Machine } from "../../src/machine/machine.ts";
import { Bench } from "../tools/machine/support.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const NAMESPACES = ["n", "m", "o"];
const VALUE = utf8("some bytes");
const KEYS = DUE_SOURCES[0];

/** Keys with the time at which they expire, 0 for never. */
class Model {
  /** In the order in which the namespaces were created. */
  readonly namespaces = new Map<string, Map<string, number>>();

  apply(command: Command, now: number): number {
    if (command.type === "kv_put") this.#put(command, now);
    else if (command.type === "kv_delete_namespace") this.namespaces.delete(command.namespace);
    else if (command.type === "tick") return this.#free(now);
    else if (command.type === "kv_delete") {
      const keys = this.namespaces.get(command.namespace);
      const key = Buffer.from(command.key).toString();
      const at = keys?.get(key) ?? 0;
      if (at === 0 || at > now) keys?.delete(key);
    }
    return 0;
  }

  #put({ namespace, key, ttlMs }: Extract<Command, { type: "kv_put" }>, now: number): void {
    const keys = this.namespaces.get(namespace) ?? new Map<string, number>();
    this.namespaces.set(namespace, keys);
    keys.set(Buffer.from(key).toString(), ttlMs === null ? 0 : now + ttlMs);
  }

  #free(now: number): number {
    let freed = 0;
    for (const keys of this.namespaces.values()) {
      for (const [key, at] of [...keys].sort(([a], [b]) => (a < b ? -1 : 1))) {
        if (at === 0 || at > now - EXPIRED_MEMORY_MS || freed === KEYS_FREED_PER_TICK_MAX) continue;
        keys.delete(key);
        freed++;
      }
    }
    return freed;
  }

  get expiries(): number[] {
    return [...this.namespaces.values()].flatMap((keys) => [...keys.values()].filter(Boolean));
  }
}

function commandOf(random: Random): Command {
  const namespace = random.pick(NAMESPACES);
  const key = utf8(`k${random.below(6_000)}`);
  const kind = random.below(1_000);
  if (kind < 4) return { type: "kv_delete_namespace", namespace, ifEmpty: false };
  if (kind < 40) return { type: "tick" };
  if (kind < 200) return { type: "kv_delete", namespace, key, cas: null };
  const ttlMs = random.below(3) === 0 ? null : 1 + random.below(100_000);
  return { type: "kv_put", namespace, key, value: VALUE, cas: null, ttlMs };
}

/** Two machines that do the same, one of which is restored from a snapshot now and then. */
class Pair {
  readonly whole = new Bench();
  readonly model = new Model();
  copy = new Bench();

  do(command: Command): void {
    this.copy.at = this.whole.at;
    const keysFreed = this.model.apply(command, this.whole.at);
    const results = [this.whole.do(command), this.copy.do(command)];
    if (command.type !== "tick") return;
    for (const result of results) expect(result).toMatchObject({ keysFreed });
  }

  restore(): void {
    const chunk = this.copy.machine.beginSnapshot().next(Number.MAX_SAFE_INTEGER);
    this.copy = new Bench(Machine.restore(chunk === null ? [] : [chunk]), this.whole.at);
  }

  compare(): void {
    const { expiries } = this.model;
    expect(this.copy.machine.digest()).toBe(this.whole.machine.digest());
    // A key that was put again or deleted may be looked at once too early, and never too late.
    const latest = Math.min(...expiries) + EXPIRED_MEMORY_MS;
    for (const { machine } of [this.whole, this.copy]) {
      expect(KEYS.size(machine)).toBe(expiries.length);
      expect(KEYS.nextAt(machine)).toBeLessThanOrEqual(latest);
    }
  }
}

test("keys are freed as a map says, also by a machine that was restored", () => {
  forEachSeed(6, (random) => {
    const pair = new Pair();
    for (let i = 0; i < 6_000; i++) {
      const command = commandOf(random);
      if (command.type === "tick") pair.whole.at += random.below(random.pick([100, 50_000]));
      pair.do(command);
      if (i % 500 !== 499) continue;
      pair.restore();
      pair.compare();
    }
    pair.whole.at += 100_000_000;
    for (let i = 0; i < 20; i++) pair.do({ type: "tick" });
    const { machine } = pair.whole;
    expect([KEYS.size(machine), KEYS.nextAt(machine)]).toEqual([0, Number.POSITIVE_INFINITY]);
  });
});
