/**
 * Goal: a disk that becomes full at any step while a snapshot is received and installed ends no node
 * and loses nothing; with space the follower has everything, with and without a restart meanwhile.
 * Method: whole nodes; a follower is cut off, the journal goes on without it, and from each step on
 * that may need space its disk is full.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { verifyDataDir } from "../../src/offline/verify.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";
import { SpaceLimit } from "../tools/sim/space-limit.ts";

setDefaultTimeout(600_000);

const RECORD = encodeRecord(null, new Uint8Array(2_000));
const RECORDS = 20;
const FULL_MS = 3_000;
const SOON_MS = 30_000;

const write = (script: Script) =>
  script.insist(
    (node) =>
      new Promise<{ ok: boolean }>((done) => {
        const place = { topic: "t", partition: 0, key: null, idempotencyKey: null };
        node.produce({ ...place, records: RECORD, timeoutMs: null, rocket: false }, done);
      }),
    ({ ok }) => ok,
  );

function isolate({ cluster }: Script, id: string): void {
  for (const other of cluster.nodes) {
    cluster.networks.block(id, other.id);
    cluster.networks.block(other.id, id);
    cluster.networks.cut(id, other.id);
  }
}

/** A follower that lacks entries which the others have only in a checkpoint. */
async function lagging(): Promise<{ script: Script; follower: SimNode; log: string[] }> {
  const log: string[] = [];
  const plan = { spares: 0, journalSegmentBytes: 4096, checkpointBytes: 1 << 20 };
  const script = new Script(plan, (line) => log.push(line));
  script.start();
  await script.create("t");
  await write(script);
  await script.until("all have it", () =>
    script.cluster.nodes.every(({ node }) => node?.describeTopic("t").ok === true),
  );
  const follower = script.cluster.nodes.find(({ node }) => node?.health().role === "follower");
  if (follower === undefined) throw new Error("there is no follower");
  isolate(script, follower.id);
  for (let i = 1; i < RECORDS; i++) await write(script);
  for (let checkpoint = 0; checkpoint < 2; checkpoint++) {
    await script.create(`filler-${checkpoint}`);
    await script.pass(200);
    for (const { id } of script.cluster.nodes) {
      if (id !== follower.id) await script.ask((node) => node.compact(), id);
    }
  }
  log.length = 0;
  return { script, follower, log };
}

async function endOn(script: Script, { id }: SimNode): Promise<number> {
  const read = { topic: "t", partition: 0, group: "g", offset: 0, limit: 100, maxBytes: 1 << 20 };
  const page = await script.ask((node) => node.consume({ ...read, linearizable: false }), id);
  return page.ok ? page.endOffset : 0;
}

const isInstalled = (log: readonly string[]) =>
  log.some((line) => line.includes("snapshot installed"));

/** @returns whether the installation has fewer steps. */
async function fillAt(step: number, way: Way): Promise<boolean> {
  const { script, follower, log } = await lagging();
  const space = new SpaceLimit(step, way);
  follower.disk.faults.space = space;
  script.cluster.networks.heal();
  await script.pass(FULL_MS);
  const isOver = isInstalled(log) && !space.isFull;
  // Nobody asked it to end: a node that ended by itself has failed the script.
  expect(follower.up).toBe(true);
  if (way.restarts) {
    follower.kill();
    const disk = follower.disk.snapshot();
    const { findings } = await verifyDataDir({ disk, inUse: false, nextTurn: async () => {} });
    expect(findings.filter(({ kind }) => kind === "damage")).toEqual([]);
    follower.start();
    await script.pass(FULL_MS);
    expect(follower.up).toBe(true);
  }
  follower.disk.faults.space = null;
  await script.until("it has everything", () => hasAll(follower), SOON_MS);
  expect(await endOn(script, follower)).toBe(RECORDS);
  await write(script);
  await script.until("it follows", () => offsetOf(follower) === RECORDS + 1, SOON_MS);
  return isOver;
}

type Way = { copiesOnWrite: boolean; removesTrees: boolean; restarts: boolean };

function offsetOf({ node }: SimNode): number {
  const topic = node?.describeTopic("t");
  return topic?.ok === true ? (topic.partitionList[0]?.endOffset ?? 0) : 0;
}

const hasAll = (follower: SimNode) => offsetOf(follower) === RECORDS;

for (const way of [
  { copiesOnWrite: false, removesTrees: true, restarts: false },
  { copiesOnWrite: true, removesTrees: false, restarts: false },
  { copiesOnWrite: false, removesTrees: true, restarts: true },
  { copiesOnWrite: true, removesTrees: false, restarts: true },
]) {
  test(`a follower whose disk is full while it takes a snapshot: ${JSON.stringify(way)}`, async () => {
    let step = 0;
    while (!(await fillAt(step, way))) step++;
    expect(step).toBeGreaterThan(8);
  });
}

/** @returns whether the snapshot was installed before the shortage began. */
async function shortAfter(ms: number): Promise<boolean> {
  const { script, follower, log } = await lagging();
  script.cluster.networks.heal();
  await script.until("a snapshot", () => log.some((line) => line.includes("sending snapshot")));
  await script.pass(ms);
  const isOver = isInstalled(log);
  follower.disk.faults.shortages = Number.MAX_SAFE_INTEGER;
  await script.pass(1_000);
  expect(follower.up).toBe(true);
  follower.disk.faults.shortages = 0;
  await script.until("it has everything", () => hasAll(follower), SOON_MS);
  expect(await endOn(script, follower)).toBe(RECORDS);
  return isOver;
}

test("a follower that is out of descriptors at any moment while it takes a snapshot", async () => {
  let ms = 0;
  while (!(await shortAfter(ms))) ms++;
  expect(ms).toBeGreaterThan(10);
});
