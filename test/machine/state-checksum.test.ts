/** Goal: what entries came to is one number, equal where the state is, and different where it is not. */
import { describe, expect, test } from "bun:test";
import { type AnyKind, type CommandResult, kindOf } from "../../src/machine/commands.ts";
import { Machine } from "../../src/machine/machine.ts";
import {
  STATE_CHECKSUM_VERSION,
  StateChecksum,
  StateDiverged,
} from "../../src/machine/state-checksum.ts";
import { offset, RecordedEffects, randomEntries } from "../tools/machine/support.ts";
import { forEachSeed, Random } from "../tools/random.ts";

const EVERY = 8;

/** A node: a machine and a state checksum of its results. */
class Replica extends RecordedEffects {
  readonly machine: Machine;
  readonly stateChecksum = new StateChecksum(EVERY);

  constructor(machine = new Machine()) {
    super();
    this.machine = machine;
  }

  override result(position: number, result: CommandResult, kind: AnyKind): void {
    this.stateChecksum.result(kind, result);
    this.results.length = position;
    super.result(position, result, kind);
  }

  apply(index: number, payload: Uint8Array): void {
    this.stateChecksum.begin(index);
    this.machine.apply(payload, this);
    this.stateChecksum.end(index, this.machine);
  }
}

test("replicas agree, also one that began from a snapshot, once it has seen a whole run", () => {
  forEachSeed(30, (random) => {
    const entries = randomEntries(random, 5 * EVERY);
    const [a, b] = [new Replica(), new Replica()];
    let late: Replica | null = null;
    const lateFrom = 1 + random.below(3 * EVERY);
    entries.forEach((payload, i) => {
      if (i + 1 === lateFrom) late = new Replica(copyOf(a.machine));
      for (const one of [a, b, late]) one?.apply(i + 1, payload);
      const { newest } = a.stateChecksum;
      if (newest === null) return;
      expect(b.stateChecksum.compare(newest)).toBe(true);
      const sawAll = late !== null && newest.index - EVERY + 1 >= lateFrom;
      expect(late?.stateChecksum.compare(newest) ?? false).toBe(sawAll);
    });
    expect(a.stateChecksum.newest).toEqual(b.stateChecksum.newest);
  });
});

test("a replica whose state differs notices as soon as a command meets the difference", () => {
  const entries = randomEntries(new Random(3), 4 * EVERY);
  const [a, b] = [new Replica(), new Replica()];
  entries.forEach((payload, i) => {
    if (i === EVERY) b.machine.kv.bytes++;
    a.apply(i + 1, payload);
    b.apply(i + 1, payload);
  });
  const { newest } = a.stateChecksum;
  if (newest === null) throw new Error("a run has ended");
  expect(() => b.stateChecksum.compare(newest)).toThrow(StateDiverged);
});

describe("is not compared", () => {
  const whole = (): StateChecksum => {
    const replica = new Replica();
    randomEntries(new Random(1), EVERY).forEach((payload, i) => {
      replica.apply(i + 1, payload);
    });
    return replica.stateChecksum;
  };
  const other = {
    type: "checksum",
    version: STATE_CHECKSUM_VERSION,
    index: EVERY,
    digest: 1,
  } as const;

  test("what another version has hashed", () => {
    expect(() => whole().compare(other)).toThrow(StateDiverged);
    expect(whole().compare({ ...other, version: STATE_CHECKSUM_VERSION + 1 })).toBe(false);
  });
  test("a run that was not seen, or not from its beginning", () => {
    expect(whole().compare({ ...other, index: 2 * EVERY })).toBe(false);
    const stateChecksum = new StateChecksum(EVERY);
    for (let index = 3; index <= EVERY; index++) {
      stateChecksum.begin(index);
      stateChecksum.end(index, new Machine());
    }
    expect(stateChecksum.newest).toBeNull();
  });
});

/** A change here is a change of what is hashed: `STATE_CHECKSUM_VERSION` has to be raised. */
test("what is hashed is known", () => {
  const stateChecksum = new StateChecksum(1);
  stateChecksum.begin(1);
  const results: CommandResult[] = [
    {
      ok: true,
      type: "produce",
      firstOffset: offset(7),
      count: 2,
      duplicate: true,
      payloadMatches: false,
    },
    { ok: true, type: "kv_put", cas: 3 },
    { ok: true, type: "trim", deletedCount: 1, freedBytes: 9 },
    { ok: false, code: "topic_not_found", details: {} },
    { ok: true, type: "tick", keysFreed: 1, duplicatesForgotten: 2, dueEnded: 0 },
  ];
  for (const result of results) {
    stateChecksum.result(kindOf(result.ok ? result.type : "produce"), result);
  }
  stateChecksum.end(1, new Machine());
  expect(STATE_CHECKSUM_VERSION).toBe(2);
  expect(stateChecksum.newest?.digest).toMatchInlineSnapshot(`3514161455`);
});

function copyOf(machine: Machine): Machine {
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(1024); chunk !== null; chunk = snapshot.next(1024)) {
    chunks.push(chunk);
  }
  return Machine.restore(chunks);
}
