/** A queue and its model under random commands: they answer the same and count the same. */
import { expect, test } from "bun:test";
import type { Millis } from "../../src/lib/ids.ts";
import type { LeaseRef } from "../../src/queue/find.ts";
import { expire } from "../../src/queue/items.ts";
import { queuesPart } from "../../src/queue/snapshot.ts";
import { copied, DEFINITION, drain, QueueBench, restored } from "../tools/queue/bench.ts";
import { ModelQueue } from "../tools/queue/model.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const PARTITIONS = 2;
const STEPS = 200;

class Run {
  readonly random: Random;
  readonly bench: QueueBench;
  readonly model: ModelQueue;
  readonly leases: LeaseRef[] = [];

  constructor(random: Random) {
    this.random = random;
    const definition = {
      ...DEFINITION,
      order: random.below(2) === 0 ? ("none" as const) : ("key" as const),
      maxInFlight: 1 + random.below(10),
      maxDeliveries: 1 + random.below(4),
    };
    this.bench = new QueueBench(definition, PARTITIONS);
    this.model = new ModelQueue(definition, PARTITIONS);
  }

  step(): void {
    this.bench.now = (this.bench.now + this.random.below(4) * 50) as Millis;
    const dice = this.random.below(16);
    if (dice < 3) this.#produce();
    else if (dice < 7) this.#receive();
    else if (dice < 9) this.#settle("ack");
    else if (dice < 11) this.#settle("nack");
    else if (dice < 12) this.#settle("extend");
    else if (dice < 14) this.#bury();
    else if (dice < 15) this.#trim();
    else this.#rare();
    this.#compare();
  }

  #produce(): void {
    const partition = this.random.below(PARTITIONS);
    const count = 1 + this.random.below(5);
    this.bench.produce(count, partition);
    for (let i = 0; i < count; i++) this.model.add(partition, this.random.below(4));
  }

  /** Any records, in any order, also some that do not exist. */
  #receive(): void {
    const { bench, model } = this;
    const candidates = Array.from({ length: 1 + this.random.below(6) }, () => {
      const partition = this.random.below(PARTITIONS);
      const records = model.partitions[partition] ?? [];
      const offset = this.random.below(records.length + 1);
      const hasKeys = model.definition.order === "key";
      return { partition, offset, key: hasKeys ? (records[offset]?.key ?? 0) : 0 };
    });
    const visibilityMs = 100 + this.random.below(3) * 100;
    const leases = bench.receive(candidates, visibilityMs);
    expect(leases).toEqual(model.receive(candidates, visibilityMs, bench.now));
    this.leases.push(...leases);
  }

  #settle(how: "ack" | "nack" | "extend"): void {
    const { bench, model } = this;
    const ref = this.#lease();
    if (how === "ack") expect(bench.ack(ref)).toEqual([model.ack(ref, bench.now) as Millis]);
    else if (how === "extend") {
      expect(bench.extend(300, ref)).toEqual([model.extend(ref, 300, bench.now) as Millis]);
    } else {
      const delayMs = this.random.below(2) === 0 ? null : this.random.below(300);
      expect(bench.nack(delayMs, ref)).toEqual([model.nack(ref, delayMs, bench.now) as Millis]);
    }
  }

  #bury(): void {
    const isLeased = this.random.below(2) === 0;
    const ref = this.#lease();
    const { bench, model } = this;
    expect(bench.bury(ref, isLeased)).toEqual(model.bury(ref, isLeased, bench.now));
  }

  #trim(): void {
    const partition = this.random.below(PARTITIONS);
    const { length } = this.model.partitions[partition] ?? [];
    const before = Math.min(this.random.below(length + 1), this.model.low(partition) + 2);
    this.bench.trim(partition, before);
    this.model.trim(partition, before);
    // A queue notices at its next command on the partition.
    this.bench.ack({ partition, offset: Number.MAX_SAFE_INTEGER, attempt: 1 });
  }

  #rare(): void {
    const dice = this.random.below(6);
    if (dice === 0) expect(this.bench.purge()).toBe(this.model.purge());
    else if (dice === 1) {
      const definition = { ...this.model.definition, maxDeliveries: 1 + this.random.below(4) };
      expect(this.bench.define(definition).ok).toBe(true);
      this.model.definition = definition;
    } else this.#snapshot();
  }

  /** The restored state has the digest of the captured one, whatever was applied meanwhile. */
  #snapshot(): void {
    const { bench } = this;
    const before = bench.digest();
    const capture = queuesPart.capture(bench.state);
    const first = capture.next();
    if (this.random.below(2) === 0) this.#receive();
    for (const how of ["ack", "nack", "extend"] as const) {
      if (this.random.below(2) === 0) this.#settle(how);
    }
    if (this.random.below(2) === 0) this.#bury();
    if (this.random.below(2) === 0) this.#trim();
    const pieces = first.done === true ? [] : [first.value, ...drain(capture)];
    expect(bench.digest(restored(pieces))).toEqual(before);
    bench.state = copied(bench.state);
  }

  /** A lease of the past, or one that never was. */
  #lease(): LeaseRef {
    if (this.leases.length > 0 && this.random.below(12) > 0) {
      return this.leases[Math.max(0, this.leases.length - 1 - this.random.below(8))] as LeaseRef;
    }
    const partition = this.random.below(PARTITIONS + 1);
    return { partition, offset: this.random.below(40), attempt: 1 + this.random.below(3) };
  }

  #compare(): void {
    const { bench, model } = this;
    const { queue } = bench;
    expire(queue, bench.now);
    expect(queue.inFlight).toBe(model.count("leased", bench.now));
    expect(queue.delayed).toBe(model.count("waiting", bench.now));
    expect([queue.acked, queue.dead, queue.lost, queue.purged]).toEqual([
      model.acked,
      model.dead,
      model.lost,
      model.purged,
    ]);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      expect(queue.partitions[partition]?.low).toBe(model.low(partition));
      expect(bench.unfinished()[partition]).toBe(model.unfinished(partition));
    }
    expect(bench.state.items).toBe(queue.items);
  }
}

test("random commands: a queue answers and counts as its model", () => {
  forEachSeed(300, (random) => {
    const run = new Run(random);
    for (let step = 0; step < STEPS; step++) run.step();
  });
});
