/** Goal: a damaged file of one node of three loses no record, and the node repairs it by itself. */
import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import type { ConsumePage } from "../../src/node/api.ts";
import type { Node } from "../../src/node/node.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { DEFAULT_JOIN_RULES } from "../../src/stream/join-rules.ts";
import { produced } from "../tools/node/as-promises.ts";
import type { Plan } from "../tools/sim/plan.ts";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";
import { pageOf, TOPIC } from "../tools/sim/workload.ts";

const COUNT = 60;
const SMALL: Partial<Plan> = {
  partitions: 1,
  spares: 0,
  journalSegmentBytes: 4096,
  segmentBytes: 2048,
  tailBytes: 4096,
};

/** Acknowledged messages `m0` … on one partition. */
async function produce(script: Script, from: number, count: number): Promise<void> {
  for (let i = from; i < from + count; i++) {
    const builder = new BatchBuilder();
    builder.add(null, utf8(`m${i}|`.padEnd(100, ".")));
    const records = builder.finish();
    const at = { topic: TOPIC, partition: 0, key: null, idempotencyKey: utf8(`m${i}`) };
    await script.insist(
      (node) => produced(node, { ...at, records, timeoutMs: null, rocket: false }),
      ({ ok }) => ok,
    );
  }
}

async function filled(changes: Partial<Plan> = {}): Promise<Script> {
  const script = new Script({ ...SMALL, ...changes });
  script.start();
  await script.create(TOPIC);
  await produce(script, 0, COUNT);
  await equal(script);
  return script;
}

const isEqual = ({ cluster }: Script): boolean => {
  const healths = cluster.nodes.map(({ node }) => node?.health());
  const first = healths[0]?.appliedIndex ?? -1;
  return healths.every((health) => health?.ready === true && health.appliedIndex === first);
};
const equal = (script: Script) => script.until("all are equal", () => isEqual(script));

const readLinearizably = (node: Node) =>
  node.consume({
    topic: TOPIC,
    partition: 0,
    group: "g",
    offset: 0,
    limit: 1,
    maxBytes: 1 << 20,
    linearizable: true,
  });

const read = (node: Node) =>
  node.consume({
    topic: TOPIC,
    partition: 0,
    group: "g",
    offset: 0,
    limit: 1_000_000,
    maxBytes: 1 << 28,
    linearizable: false,
  });
const idsOf = (page: ConsumePage) => pageOf(page, 1_000_000).messages.map(([, id]) => id);
const ids = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`);

async function readFrom(script: Script, { id }: SimNode): Promise<string[]> {
  const page = await script.ask(read, id);
  if (!page.ok) throw new Error(page.code);
  return idsOf(page);
}

const leaderOf = ({ leader }: Script): SimNode => {
  if (leader === null) throw new Error("no leader");
  return leader;
};
const followerOf = (script: Script): SimNode => {
  const found = script.cluster.nodes.find((node) => node !== leaderOf(script));
  if (found === undefined) throw new Error("no follower");
  return found;
};
const WHO = { leader: leaderOf, follower: followerOf };

/** One bit in the middle of each file whose path begins so, but for the first `skip` of them. */
function flip({ disk }: SimNode, prefix: string, skip = 0, count = 1): void {
  const written = disk
    .paths()
    .filter((path) => path.startsWith(prefix) && /\.(seg|ckpt)$/.test(path))
    .filter((path) => disk.peek(path)?.some((byte) => byte !== 0));
  expect(written.length).toBeGreaterThanOrEqual(skip + count);
  for (const path of written.slice(skip, skip + count)) {
    const used = disk.peek(path)?.findLastIndex((byte) => byte !== 0) ?? 0;
    disk.flipBit(path, Math.floor(used / 2) * 8 + 3);
  }
}

/** A bit of the first entry of the oldest journal segment that holds anything. */
function flipEarly({ disk }: SimNode, prefix: string): void {
  const path = disk
    .paths()
    .find((one) => one.startsWith(prefix) && disk.peek(one)?.some((b) => b !== 0));
  disk.flipBit(path ?? "", (64 + 48 + 5) * 8);
}

/** A bit 600 bytes before the end of the journal: no checkpoint has that entry. */
function flipLate({ disk }: SimNode, prefix: string): void {
  let back = 600;
  const segments = disk.paths().filter((path) => path.startsWith(prefix));
  for (const path of segments.reverse()) {
    const used = disk.peek(path)?.findLastIndex((byte) => byte !== 0) ?? -1;
    if (used > back) {
      disk.flipBit(path, (used - back) * 8);
      return;
    }
    back -= used + 1;
  }
  throw new Error("the journal is too short");
}

async function restart(script: Script, node: SimNode): Promise<void> {
  node.kill();
  script.start(node.id);
  await script.until("it is ready", () => node.node?.health().ready === true);
}

describe("a journal that is damaged", () => {
  for (const [who, find] of Object.entries(WHO)) {
    test(`on the ${who} is cut, filled by peers, and forgotten about`, async () => {
      const script = await filled({ checkpointBytes: 1 << 20 });
      const node = find(script);
      node.kill();
      flip(node, "shards/0/journal/");
      script.start(node.id);
      await produce(script, COUNT, 5);
      await equal(script);
      expect(await readFrom(script, node)).toEqual(ids(COUNT + 5));
      expect(node.instruments.repairs.journal.value).toBe(1);
      await script.until("no marker is left", () => {
        return !node.disk.paths().some((path) => path.endsWith("/claimed"));
      });
      await restart(script, node);
      expect(node.instruments.repairs.journal.value).toBe(1);
    });
  }

  test("of two members of three is filled in an idle group, and they can elect a leader", async () => {
    const script = await filled({ checkpointBytes: 1 << 20 });
    const whole = leaderOf(script);
    const damaged = script.cluster.nodes.filter(({ id }) => id !== whole.id);
    for (const node of script.cluster.nodes) node.kill();
    for (const node of damaged) flip(node, "shards/0/journal/");
    script.start();
    await script.until("it leads", () => whole.node?.health().role === "leader");
    // A read is asked before the leader has committed anything: its round tells of the commit index.
    whole.life.run(() => void (whole.node && readLinearizably(whole.node)));
    await script.until("no marker is left", () =>
      damaged.every(({ disk }) => !disk.paths().some((path) => path.endsWith("/claimed"))),
    );
    whole.kill();
    await script.until("one of them leads", () =>
      damaged.some(({ node }) => node?.health().role === "leader"),
    );
  });

  test("of a node alone stops the start, and is left as it is", async () => {
    const script = await filled({ nodes: 1, checkpointBytes: 1 << 20 });
    const node = leaderOf(script);
    script.cluster.excuse(node, "bit-flip");
    node.kill();
    flip(node, "shards/0/journal/");
    const before = node.disk.peek("shards/0/journal/0000000000000001.seg");
    script.start(node.id);
    await script.until("it has ended", () => node.broken !== null);
    expect(node.broken).toContain("journal damaged");
    expect(node.disk.peek("shards/0/journal/0000000000000001.seg")).toEqual(before);
  });

  for (const taken of ["at a compaction", "at the stop"]) {
    test(`of a node alone before the checkpoint ${taken} stops nothing, and goes`, async () => {
      const script = await filled({
        nodes: 1,
        checkpointBytes: 1 << 20,
        journalSegmentBytes: 1 << 15,
      });
      const node = leaderOf(script);
      await produce(script, COUNT, 5);
      if (taken === "at the stop") await script.ask((one) => one.stop(), node.id);
      else await script.ask((one) => one.compact(), node.id);
      if (taken === "at a compaction") await produce(script, COUNT + 5, 5);
      const count = COUNT + (taken === "at a compaction" ? 10 : 5);
      node.kill();
      flipEarly(node, "shards/0/journal/");
      script.start(node.id);
      await script.until("it is ready", () => node.node?.health().ready === true);
      expect(node.broken).toBeNull();
      expect(await readFrom(script, node)).toEqual(ids(count));
      expect(node.instruments.damage.journal.value).toBe(1);
      await produce(script, count, 1);
      await script.until("it is gone", () => node.instruments.repairs.journal.value === 1);
      await restart(script, node);
      expect(node.instruments.damage.journal.value).toBe(1);
      expect(await readFrom(script, node)).toEqual(ids(count + 1));
    });
  }

  test("of the last of three members is not cut either", async () => {
    const script = await filled();
    const survivor = leaderOf(script);
    for (const { id } of script.cluster.nodes) {
      if (id === survivor.id) continue;
      await script.insist(
        (node) => node.removeMember(id),
        (result) => result.ok || result.code === "member_not_found",
      );
      script.node(id).kill();
    }
    await produce(script, COUNT, 20);
    script.cluster.excuse(survivor, "bit-flip");
    survivor.kill();
    flipLate(survivor, "shards/0/journal/");
    script.start(survivor.id);
    await script.until("it has ended", () => survivor.broken !== null);
    expect(survivor.broken).toContain("journal damaged");
  });
});

test("damage in the journal of a node alone is found while it runs, and let go", async () => {
  const script = await filled({ nodes: 1, checkpointBytes: 1 << 20 });
  const node = leaderOf(script);
  flip(node, "shards/0/journal/");
  await script.until("it is found", () => node.instruments.damage.journal.value > 0);
  await script.until("it is gone", () => node.instruments.repairs.journal.value === 1);
  await restart(script, node);
  expect(await readFrom(script, node)).toEqual(ids(COUNT));
});

describe("a segment that is damaged", () => {
  for (const [who, find] of Object.entries(WHO)) {
    test(`on the ${who} is healed by who reads it`, async () => {
      const script = await filled();
      const node = find(script);
      await script.ask((one) => one.compact(), node.id);
      flip(node, "shards/0/partitions", 0, 3);
      expect(await readFrom(script, node)).toEqual(ids(COUNT));
      expect(node.instruments.repairs.partition.value).toBe(3);
      expect(await readFrom(script, node)).toEqual(ids(COUNT));
      expect(node.instruments.damage.partition.value).toBe(3);
    });
  }

  test("is found and healed though nobody reads it", async () => {
    const script = await filled();
    const node = followerOf(script);
    await script.ask((one) => one.compact(), node.id);
    flip(node, "shards/0/partitions", 0, 3);
    await script.until("it is healed", () => node.instruments.repairs.partition.value === 3);
  });

  test("is refused, not served, while no peer can be reached, and healed afterwards", async () => {
    const script = await filled();
    const node = followerOf(script);
    await script.ask((one) => one.compact(), node.id);
    flip(node, "shards/0/partitions");
    const { networks, nodes } = script.cluster;
    for (const other of nodes) {
      networks.block(node.id, other.id);
      networks.block(other.id, node.id);
    }
    expect(await script.ask(read, node.id)).toMatchObject({ ok: false, code: "data_damaged" });
    networks.heal();
    await script.pass(3000);
    expect(await readFrom(script, node)).toEqual(ids(COUNT));
  });

  test("cannot be read: it is refused, and neither readers nor the scrubber end the node", async () => {
    const script = await filled();
    const node = followerOf(script);
    await script.ask((one) => one.compact(), node.id);
    script.cluster.excuse(node, "bit-flip");
    const [path = ""] = node.disk.paths().filter((one) => /partitions.*seg$/.test(one));
    node.disk.faults.readError = path;
    expect(await script.ask(read, node.id).catch(String)).toContain("DiskFailure");
    await script.pass(150_000);
    node.disk.faults.readError = null;
    expect(await readFrom(script, node)).toEqual(ids(COUNT));
    expect(node.lives).toBe(1);
  });

  const body = (extra: object) =>
    JSON.stringify({ source: { topic: TOPIC, partition: 0, offset: 0, limit: 10_000 }, ...extra });
  const query = (node: Node) =>
    node.streams.query({ body: body({ aggregate: {} }), signal: new AbortController().signal });
  const side = { topic: TOPIC, partition: 0, offset: 0, limit: 10_000 };
  const join = (node: Node) =>
    node.streams.join({
      body: JSON.stringify({ left: side, right: side, on: { left_key: "a", right_key: "a" } }),
      signal: new AbortController().signal,
      rules: DEFAULT_JOIN_RULES,
    });
  const deleteBefore = (beforeOffset: number) => (node: Node) =>
    node.deleteBefore({ topic: TOPIC, partition: 0, beforeOffset });
  /** One batch of ten records in a segment of its own: to count some of them, it has to be read. */
  const inOneBatch = async (changes: Partial<Plan>) => {
    const script = new Script({ ...SMALL, ...changes });
    script.start();
    await script.create(TOPIC);
    const builder = new BatchBuilder();
    for (let i = 0; i < 10; i++) builder.add(null, utf8(`m${i}|`.padEnd(100, ".")));
    const at = { topic: TOPIC, partition: 0, key: null, idempotencyKey: utf8("all") };
    const records = builder.finish();
    await script.insist(
      (node) => produced(node, { ...at, records, timeoutMs: null, rocket: false }),
      ({ ok }) => ok,
    );
    await produce(script, 10, COUNT);
    await equal(script);
    const node = leaderOf(script);
    await script.ask((one) => one.compact(), node.id);
    flip(node, "shards/0/partitions");
    return { script, node };
  };

  test("is repaired by a query, a join and a deletion that have to read it", async () => {
    for (const run of [query, join]) {
      // A node of its own, because what was read once is in the cache of verified windows.
      const script = await filled();
      const node = leaderOf(script);
      await script.ask((one) => one.compact(), node.id);
      flip(node, "shards/0/partitions", 0, 3);
      expect(await script.ask<{ ok: boolean }>(run, node.id)).toMatchObject({ ok: true });
      expect(node.instruments.repairs.partition.value).toBe(3);
    }
    const { script: other, node: leader } = await inOneBatch({});
    expect(await other.ask(deleteBefore(9), leader.id)).toMatchObject({ ok: true });
    expect(leader.instruments.repairs.partition.value).toBe(1);
  });

  test("of a node alone is refused to a query, a join and a deletion too", async () => {
    const script = await filled({ nodes: 1 });
    const node = leaderOf(script);
    await script.ask((one) => one.compact(), node.id);
    flip(node, "shards/0/partitions");
    const damaged = { ok: false, code: "data_damaged" };
    expect(await script.ask<{ ok: boolean }>(query, node.id)).toMatchObject(damaged);
    expect(await script.ask<{ ok: boolean }>(join, node.id)).toMatchObject(damaged);
    const { script: other, node: alone } = await inOneBatch({ nodes: 1 });
    expect(await other.ask(deleteBefore(9), alone.id)).toMatchObject(damaged);
    // To delete all of the damaged records nothing has to be counted.
    expect(await other.ask(deleteBefore(COUNT), alone.id)).toMatchObject({ ok: true });
    expect(await readFrom(other, alone)).toEqual(ids(COUNT + 10).slice(COUNT));
  });

  test("of a node alone is refused", async () => {
    const script = await filled({ nodes: 1 });
    const node = leaderOf(script);
    await script.ask((one) => one.compact(), node.id);
    flip(node, "shards/0/partitions");
    expect(await script.ask(read, node.id)).toMatchObject({ ok: false, code: "data_damaged" });
    await produce(script, COUNT, 1);
  });
});

describe("a checkpoint that is damaged", () => {
  for (const [who, find] of Object.entries(WHO)) {
    test(`on the ${who} is made up for by the one before it and the journal`, async () => {
      const script = await filled();
      const node = find(script);
      await script.ask((one) => one.compact(), node.id);
      await produce(script, COUNT, 5);
      // The second one, taken at the stop.
      await script.ask((one) => one.stop(), node.id);
      node.kill();
      flip(node, "shards/0/checkpoints/", 1);
      script.start(node.id);
      await equal(script);
      expect(node.instruments.repairs.checkpoint.value).toBe(1);
      expect(await readFrom(script, node)).toEqual(ids(COUNT + 5));
    });

    test(`on the ${who} with no other is made up for by a peer`, async () => {
      const script = await filled();
      const node = find(script);
      await script.ask((one) => one.compact(), node.id);
      node.kill();
      flip(node, "shards/0/checkpoints/");
      script.start(node.id);
      await produce(script, COUNT, 5);
      await equal(script);
      expect(node.instruments.repairs.checkpoint.value).toBe(1);
      expect(await readFrom(script, node)).toEqual(ids(COUNT + 5));
      await restart(script, node);
      expect(node.instruments.repairs.checkpoint.value).toBe(1);
    });
  }

  test("is found while the node runs, and another is taken", async () => {
    const script = await filled({ nodes: 1 });
    const node = leaderOf(script);
    await script.ask((one) => one.compact(), node.id);
    flip(node, "shards/0/checkpoints/");
    await produce(script, COUNT, 1);
    await script.until("it is found", () => node.instruments.damage.checkpoint.value > 0);
    expect(node.instruments.repairs.checkpoint.value).toBe(1);
    await restart(script, node);
    expect(node.instruments.damage.checkpoint.value).toBe(1);
    expect(await readFrom(script, node)).toEqual(ids(COUNT + 1));
  });

  test("of a node alone stops the start", async () => {
    const script = await filled({ nodes: 1 });
    const node = leaderOf(script);
    await script.ask((one) => one.compact(), node.id);
    script.cluster.excuse(node, "bit-flip");
    node.kill();
    flip(node, "shards/0/checkpoints/");
    script.start(node.id);
    await script.until("it has ended", () => node.broken !== null);
    expect(node.broken).toContain("checkpoint");
  });
});

test("a hard state with a damaged slot is mended", async () => {
  const script = await filled();
  const node = followerOf(script);
  node.kill();
  node.disk.flipBit("shards/0/hard-state", 30 * 8);
  script.start(node.id);
  await equal(script);
  expect(node.instruments.repairs.hard_state.value).toBe(1);
});

test("a snapshot of a leader whose segments are damaged arrives whole in the end", async () => {
  const script = await filled();
  const node = leaderOf(script);
  const joiner = followerOf(script);
  joiner.kill();
  await produce(script, COUNT, 30);
  await script.ask((one) => one.compact(), node.id);
  flip(node, "shards/0/partitions", 1, 2);
  script.start(joiner.id);
  await script.until("the damage is healed", () => node.instruments.repairs.partition.value === 2);
  await produce(script, COUNT + 30, 1);
  await equal(script);
  expect(await readFrom(script, joiner)).toEqual(ids(COUNT + 31));
  expect(joiner.instruments.damage.partition.value).toBe(0);
});
