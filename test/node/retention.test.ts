// Goal: retention loses nothing that should stay and keeps nothing that should go. Method: a whole
// node on a simulated clock lives through 24 hours of writes under policies that change; now and
// then every partition is read back and compared with a plain list that obeys the same rules.
import { expect, test } from "bun:test";
import { fromUtf8, utf8 } from "../../src/lib/bytes.ts";
import type { Node } from "../../src/node/node.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { produced } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { forEachSeedAsync, type Random } from "../tools/random.ts";

const HOUR_MS = 3_600_000;
/** No age limit is near a multiple of it, so that a sweep's second more or less does not matter. */
const STEP_MS = 367_000;
/** A sweep a second, and the time that it takes to be committed. */
const SWEEP_MS = 2_500;

type Kept = { offset: number; atMs: number; value: string };
type Policy = { ttlMs: number; maxBytes: number };

test("24 hours under age and size limits keep exactly what should be kept", async () => {
  await forEachSeedAsync(2, async (random) => {
    const day = new Day(random);
    await day.begin();
    for (let now = 0; now < 24 * HOUR_MS; now += STEP_MS) await day.step();
    await day.end();
  });
}, 300_000);

class Day {
  readonly #random: Random;
  readonly #single: SingleNode;
  #node: Node | null = null;
  readonly #partitions: Kept[][] = [[], []];
  readonly #ends = [0, 0];
  readonly #policies: Policy[] = [
    { ttlMs: 0, maxBytes: 0 },
    { ttlMs: 0, maxBytes: 0 },
  ];

  constructor(random: Random) {
    this.#random = random;
    this.#single = new SingleNode(random);
  }

  get #running(): Node {
    if (this.#node === null) throw new Error("the node is not running");
    return this.#node;
  }

  async begin(): Promise<void> {
    this.#node = await this.#single.open();
    await this.#single.settled(this.#running.createTopic("t", 2));
  }

  async step(): Promise<void> {
    const single = this.#single;
    const random = this.#random;
    const ends = this.#ends;
    for (const [partition, kept] of this.#partitions.entries()) {
      await produce(single, this.#running, random, { partition, kept, ends });
    }
    if (random.below(30) === 0) await changePolicy(single, this.#running, random, this.#policies);
    if (random.below(60) === 0) await this.#restart();
    await single.clock.advance(STEP_MS);
    for (const [partition, before] of this.#partitions.entries()) {
      const policy = this.#policies[partition] as Policy;
      const kept = obey(before, policy, single.clock.now() - SWEEP_MS);
      this.#partitions[partition] = kept;
      if (random.below(10) === 0) await compare(single, this.#running, partition, kept, ends);
    }
  }

  async end(): Promise<void> {
    await this.#single.settled(this.#running.stop());
  }

  async #restart(): Promise<void> {
    await this.end();
    this.#node = await this.#single.open();
  }
}

type Target = { partition: number; kept: Kept[]; ends: number[] };

async function produce(single: SingleNode, node: Node, random: Random, target: Target) {
  const { partition, kept, ends } = target;
  const count = 1 + random.below(12);
  const builder = new BatchBuilder();
  const values = Array.from({ length: count }, (_, i) => {
    const value = `${partition}/${(ends[partition] ?? 0) + i}/${"x".repeat(random.below(200))}`;
    builder.add(null, utf8(value));
    return value;
  });
  const request = {
    topic: "t",
    partition,
    key: null,
    idempotencyKey: null,
    records: builder.finish(),
    timeoutMs: null,
    rocket: false,
  };
  const outcome = await single.settled(produced(node, request));
  if (!outcome.ok) throw new Error(`produce: ${outcome.code}`);
  const firstOffset = outcome.firstOffset ?? -1;
  // The record's own time is read back; the list needs it only to the second.
  const atMs = single.clock.now();
  for (const [i, value] of values.entries()) {
    kept.push({ offset: firstOffset + i, atMs, value });
  }
  ends[partition] = firstOffset + count;
}

async function changePolicy(single: SingleNode, node: Node, random: Random, policies: Policy[]) {
  const partition = random.below(2);
  const ttlMs = random.pick([0, HOUR_MS, 3 * HOUR_MS]);
  const maxBytes = random.pick([0, 2_000, 20_000]);
  const set = await single.settled(node.setRetention({ topic: "t", partition, ttlMs, maxBytes }));
  if (!set.ok) throw new Error(`retention: ${set.code}`);
  policies[partition] = { ttlMs, maxBytes };
}

/** The records that remain of a partition by the rules alone. */
function obey(kept: readonly Kept[], { ttlMs, maxBytes }: Policy, nowMs: number): Kept[] {
  let left = ttlMs === 0 ? [...kept] : kept.filter(({ atMs }) => atMs + ttlMs > nowMs);
  if (maxBytes > 0) {
    let bytes = left.reduce((sum, { value }) => sum + value.length, 0);
    while (bytes > maxBytes) {
      bytes -= left[0]?.value.length ?? 0;
      left = left.slice(1);
    }
  }
  return left;
}

async function compare(
  single: SingleNode,
  node: Node,
  partition: number,
  kept: readonly Kept[],
  ends: readonly number[],
) {
  const found: { offset: number; value: string }[] = [];
  let offset = 0;
  for (;;) {
    const page = await single.settled(
      node.consume({
        topic: "t",
        group: "g",
        partition,
        offset,
        limit: 1000,
        maxBytes: 1 << 20,
        linearizable: false,
      }),
    );
    if (!page.ok) throw new Error(`consume: ${page.code}`);
    expect(page.endOffset).toBe(ends[partition] as number);
    const before = found.length;
    for (const slice of page.slices) {
      const cursor = new RecordCursor(slice);
      for (let more = cursor.seek(page.startOffset); more; more = cursor.next()) {
        const value = fromUtf8(cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd));
        found.push({ offset: cursor.offset, value });
      }
    }
    if (found.length === before) break;
    offset = (found.at(-1)?.offset ?? 0) + 1;
  }
  expect(found).toEqual(kept.map(({ offset: at, value }) => ({ offset: at, value })));
}
