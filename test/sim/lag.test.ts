/**
 * Goal: a follower that lags gets what it lacks from the journal as long as that is worth it, and
 * one snapshot at most, however much is written meanwhile; and it costs the leader no more disk than
 * it may. Method: whole nodes under a steady load; each rule is also seen to fail without the journal
 * being kept.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import type { Plan } from "../tools/sim/plan.ts";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";

setDefaultTimeout(120_000);

const KIB = 1024;
const SEGMENT_BYTES = 4 * KIB;
const CHECKPOINT_BYTES = 16 * KIB;
/**
 * Bytes of two checkpoints, of segments that are begun or ready, and of writes between two looks.
 */
const OWN_BYTES_MAX = 3 * CHECKPOINT_BYTES + 6 * SEGMENT_BYTES;
const AMPLE = 1024 * KIB;
const EVERY_MS = 2;
const RECORD = encodeRecord(null, new Uint8Array(200));

/** Three nodes with records on all of them, and one that is written every two milliseconds. */
class Loaded {
  readonly script: Script;
  #on = true;
  #snapshots = 0;
  #acknowledged = 0;

  private constructor(changes: Partial<Plan>) {
    const small = { spares: 0, partitions: 1, journalSegmentBytes: SEGMENT_BYTES };
    const plan = { ...small, checkpointBytes: CHECKPOINT_BYTES, ...changes };
    this.script = new Script(plan, (line) => {
      if (line.includes("sending snapshot")) this.#snapshots++;
    });
  }

  static async begin(journalKeepBytes: number, changes: Partial<Plan> = {}): Promise<Loaded> {
    const loaded = new Loaded({ journalKeepBytes, ...changes });
    const { script } = loaded;
    script.start();
    await script.create("t");
    await script.until("all have it", () => loaded.isLevel);
    loaded.#snapshots = 0;
    loaded.#write();
    await script.pass(1500);
    return loaded;
  }

  #write(): void {
    this.script.cluster.queue.after(EVERY_MS, () => {
      if (!this.#on) return;
      this.#write();
      const { leader } = this.script;
      leader?.life.run(() => {
        const place = { topic: "t", partition: 0, key: null, idempotencyKey: null };
        const request = { ...place, records: RECORD, timeoutMs: null, rocket: false };
        leader.node?.produce(request, ({ ok }) => {
          if (ok) this.#acknowledged++;
        });
      });
    });
  }

  endLoad(): void {
    this.#on = false;
  }

  /** Snapshots that were begun to be sent to any node since the load began. */
  get snapshots(): number {
    return this.#snapshots;
  }

  /** Writes of the load that were answered in time. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  get leader(): SimNode {
    const { leader } = this.script;
    if (leader === null) throw new Error("nobody leads");
    return leader;
  }

  /** One that follows. */
  get follower(): SimNode {
    const { nodes } = this.script.cluster;
    return nodes.find((node) => node !== this.leader) as SimNode;
  }

  /** Everybody has nearly all of the log. */
  get isLevel(): boolean {
    const applied = this.script.cluster.nodes.map(({ node }) => node?.health().appliedIndex ?? 0);
    return Math.min(...applied) > 1 && Math.max(...applied) - Math.min(...applied) < 50;
  }

  level(ms = 20_000): Promise<void> {
    return this.script.until("all are level", () => this.isLevel, ms);
  }
}

/** Bytes of all journal files, including those that are preallocated. */
function journalBytes({ disk }: SimNode): number {
  const paths = disk.paths().filter((path) => path.includes("/journal/") && path.endsWith(".seg"));
  return paths.reduce((sum, path) => sum + (disk.peek(path)?.length ?? 0), 0);
}

describe("a follower that was away for some checkpoints", () => {
  async function away(journalKeepBytes: number): Promise<Loaded> {
    const loaded = await Loaded.begin(journalKeepBytes);
    const { script, follower } = loaded;
    follower.kill();
    await script.pass(800);
    follower.start();
    await loaded.level();
    return loaded;
  }

  test("gets the log, which goes soon after, also if nothing is written any more", async () => {
    const loaded = await away(AMPLE);
    expect(loaded.snapshots).toBe(0);
    loaded.endLoad();
    await loaded.script.pass(2500);
    expect(journalBytes(loaded.leader)).toBeLessThan(OWN_BYTES_MAX);
    expect(loaded.leader.instruments.journalRetainedBytes.value).toBe(0);
  });

  test("gets a snapshot where nothing is kept for it", async () => {
    expect((await away(0)).snapshots).toBeGreaterThan(0);
  });
});

describe("a follower that needs a snapshot while writes go on", () => {
  /** It comes back with a slow disk, so that the leader takes checkpoints while it installs. */
  async function behind(journalKeepBytes: number, changes: Partial<Plan> = {}): Promise<Loaded> {
    const loaded = await Loaded.begin(journalKeepBytes, changes);
    const { script, follower } = loaded;
    follower.kill();
    await script.pass(800);
    await script.ask((node) => node.compact());
    follower.diskState.slow = 60;
    follower.start();
    return loaded;
  }

  test("gets exactly one, and the log from there on, whoever calls for space", async () => {
    const loaded = await behind(AMPLE);
    const { script } = loaded;
    await script.until("it is on its way", () => loaded.snapshots > 0);
    await script.pass(300);
    await script.ask((node) => node.compact());
    await loaded.level();
    loaded.follower.diskState.slow = 1;
    await script.pass(1000);
    expect(loaded.snapshots).toBe(1);
    expect(loaded.isLevel).toBe(true);
  });

  test("gets one after the other where nothing is kept for it", async () => {
    const loaded = await behind(0);
    await loaded.script.pass(10_000);
    expect(loaded.snapshots).toBeGreaterThan(1);
  });

  const EVERY_DISK: Partial<Plan> = { writeConcern: { kind: "all" } };

  test("is soon among the disks that a write concern of all waits for", async () => {
    const loaded = await behind(AMPLE, EVERY_DISK);
    const before = loaded.acknowledged;
    await loaded.script.until(
      "a write is acknowledged",
      () => loaded.acknowledged > before,
      10_000,
    );
    expect(loaded.snapshots).toBe(1);
  });

  test("lets no write of all end in time where too little is kept, until the load ends", async () => {
    const loaded = await behind(32 * KIB, EVERY_DISK);
    const { script } = loaded;
    const before = loaded.acknowledged;
    await script.pass(10_000);
    expect(loaded.acknowledged).toBe(before);
    loaded.endLoad();
    await loaded.level();
    const place = { topic: "t", partition: 0, key: null, idempotencyKey: null };
    const request = { ...place, records: RECORD, timeoutMs: null, rocket: false };
    const answer = script.ask(
      (node) =>
        new Promise<boolean>((resolve) => {
          node.produce(request, ({ ok }) => resolve(ok));
        }),
    );
    expect(await answer).toBe(true);
  });
});

test("a restarted leader still gives out what its journal has from before its checkpoint", async () => {
  const loaded = await Loaded.begin(AMPLE, { checkpointBytes: 8 * CHECKPOINT_BYTES });
  const { script, follower } = loaded;
  const { nodes } = script.cluster;
  await loaded.level();
  // All begin a new stretch of the journal, in which they will take one checkpoint.
  for (const { id } of nodes) await script.ask((node) => node.compact(), id);
  follower.kill();
  const checkpoints = () =>
    nodes.map(({ disk }) => disk.paths().filter((path) => path.endsWith(".ckpt")).length);
  const others = nodes.flatMap((node, i) => (node === follower ? [] : [i]));
  await script.until("a checkpoint each", () => others.every((i) => checkpoints()[i] === 2));
  loaded.endLoad();
  await script.pass(100);
  for (const node of nodes) if (node !== follower) node.kill();
  for (const node of nodes) if (node !== follower) node.start();
  await script.until("one leads", () => script.leader !== null);
  follower.start();
  await loaded.level();
  expect(loaded.snapshots).toBe(0);
});

describe("a follower that stays away", () => {
  const LIMIT = 100 * KIB;

  /** Until the leader keeps much for it. */
  async function kept(limit: number): Promise<Loaded> {
    const loaded = await Loaded.begin(limit);
    const { script, leader, follower } = loaded;
    follower.kill();
    await script.until("much is kept", () => journalBytes(leader) > OWN_BYTES_MAX + LIMIT / 4);
    return loaded;
  }

  test("holds no more than the limit, and then nothing", async () => {
    const loaded = await kept(LIMIT);
    const { script, leader } = loaded;
    let most = 0;
    for (let i = 0; i < 200; i++) {
      await script.pass(20);
      most = Math.max(most, journalBytes(leader));
    }
    expect(most).toBeLessThan(LIMIT + CHECKPOINT_BYTES + 6 * SEGMENT_BYTES);
    expect(journalBytes(leader)).toBeLessThan(OWN_BYTES_MAX);
    await script.pass(1000);
    expect(leader.instruments.journalRetainedBytes.value).toBe(0);
    loaded.follower.start();
    await loaded.level();
    expect(loaded.snapshots).toBe(1);
  });

  test("holds nothing on a disk that is full", async () => {
    const { script, leader } = await kept(AMPLE);
    leader.disk.faults.full = true;
    await script.until("that is let go", () => journalBytes(leader) < OWN_BYTES_MAX, 3000);
    leader.disk.faults.full = false;
  });

  test("holds nothing when an operator asks for space", async () => {
    const { script, leader } = await kept(AMPLE);
    const { freedBytes } = await script.ask((node) => node.compact());
    expect(freedBytes).toBeGreaterThan(LIMIT / 4);
    expect(journalBytes(leader)).toBeLessThan(OWN_BYTES_MAX);
  });
});
