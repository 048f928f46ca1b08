/** Snapshots over the network in memory. */
import { expect, test } from "bun:test";
import { crc32 } from "../../src/lib/crc32.ts";
import type { NodeId } from "../../src/lib/ids.ts";
import { SHARD_0 } from "../../src/lib/ids.ts";
import { SILENT } from "../../src/metrics/log.ts";
import type { LogIndex, Term } from "../../src/raft/types.ts";
import { decodeFrame, FrameWriter, NO_SESSION } from "../../src/transport/envelope.ts";
import type { SnapshotStatus, TransferId } from "../../src/transport/snapshot-codec.ts";
import {
  writeSnapshotAbort,
  writeSnapshotBegin,
  writeSnapshotChunk,
  writeSnapshotFileEnd,
} from "../../src/transport/snapshot-codec.ts";
import {
  SNAPSHOT_QUEUE_BYTES_MAX,
  SnapshotReceiver,
} from "../../src/transport/snapshot-receiver.ts";
import type { SnapshotResult, SnapshotTransfer } from "../../src/transport/snapshot-types.ts";
import { forEachSeedAsync, Random } from "../tools/random.ts";
import { SimClock, settle } from "../tools/sim/sim-clock.ts";
import { MemoryWorld } from "../tools/transport/memory-network.ts";
import { MemoryNode, MemorySink, makeSource } from "../tools/transport/memory-nodes.ts";

const newWorld = (random = new Random(1)): MemoryWorld => new MemoryWorld(new SimClock(), random);

function twoNodes(world: MemoryWorld): [MemoryNode, MemoryNode] {
  const nodes: [MemoryNode, MemoryNode] = [new MemoryNode(world, "a"), new MemoryNode(world, "b")];
  nodes[0].meet(nodes[1]);
  nodes[1].meet(nodes[0]);
  return nodes;
}

/** Runs simulated time until the transfer ends, with `each` after every step. */
async function resultOf(
  world: MemoryWorld,
  transfer: SnapshotTransfer,
  each: () => void = () => {},
): Promise<SnapshotResult> {
  const outcome: { result: SnapshotResult | null } = { result: null };
  void transfer.result.then((result) => {
    outcome.result = result;
  });
  for (let step = 0; outcome.result === null; step++) {
    if (step > 100_000) throw new Error("the transfer does not end");
    await world.clock.advance(5);
    each();
  }
  return outcome.result;
}

/** In steps, so that what takes several turns of the real loop gets them. */
async function pass(world: MemoryWorld, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 2) await world.clock.advance(2);
}

test("a snapshot arrives byte for byte: many files, empty ones, and what fills a chunk", async () => {
  const world = newWorld();
  const [a, b] = twoNodes(world);
  await world.clock.advance(100);
  const source = makeSource(world.random, [1234, 0, 100, 200, 1, 99, 0]);
  const transfer = a.transport.sendSnapshot(b.id, source);
  expect(await resultOf(world, transfer)).toEqual({ ok: true });
  expect(b.sink.files).toEqual([...source.contents]);
  expect([b.sink.completed, b.sink.aborted]).toEqual([1, 0]);
  expect(transfer.bytesConfirmed).toBe(1634);
});

test("what is announced reaches the sink: sender, term, meta bytes, names", async () => {
  const world = newWorld();
  const [a, b] = twoNodes(world);
  await world.clock.advance(100);
  const source = makeSource(world.random, [10, 20], 9);
  await resultOf(world, a.transport.sendSnapshot(b.id, source));
  expect(b.sink.announced).toEqual([
    {
      from: a.id,
      term: 9 as Term,
      meta: source.meta,
      files: source.files.map(({ name, length }) => ({ name, length })),
    },
  ]);
});

test("a snapshot without files is complete at once", async () => {
  const world = newWorld();
  const [a, b] = twoNodes(world);
  await world.clock.advance(100);
  const transfer = a.transport.sendSnapshot(b.id, makeSource(world.random, []));
  expect(await resultOf(world, transfer)).toEqual({ ok: true });
  expect(b.sink.completed).toBe(1);
});

test("a transfer that begins while there is no link waits for one", async () => {
  const world = newWorld();
  const a = new MemoryNode(world, "a");
  a.meet({ id: "b" as NodeId });
  const source = makeSource(world.random, [500]);
  const transfer = a.transport.sendSnapshot("b" as NodeId, source);
  await world.clock.advance(5000);
  const b = new MemoryNode(world, "b");
  b.meet(a);
  expect(await resultOf(world, transfer)).toEqual({ ok: true });
  expect(b.sink.files).toEqual([...source.contents]);
});

test("links that are cut in the middle cost what was under way, not what was written", async () => {
  const world = newWorld();
  const [a, b] = twoNodes(world);
  await world.clock.advance(100);
  const source = makeSource(world.random, [20_000, 30_000]);
  let cuts = 0;
  let step = 0;
  const transfer = a.transport.sendSnapshot(b.id, source);
  const result = await resultOf(world, transfer, () => {
    if (++step % 40 !== 0 || cuts === 10) return;
    world.cut("a", "b");
    cuts++;
  });
  expect(result).toEqual({ ok: true });
  expect(cuts).toBe(10);
  expect(b.sink.files).toEqual([...source.contents]);
  // The sink itself refuses to be written twice in one place; so nothing began anew.
  expect(b.sink.aborted).toBe(0);
  expect(b.sink.bytesWritten).toBe(50_000);
});

/**
 * Goal: whatever the network does, a transfer either ends well, with every byte right, or tells that
 * it failed. Method: random files, delays, cuts, silences and receivers that restart.
 */
test("snapshots survive a bad network, under many seeds", async () => {
  await forEachSeedAsync(25, async (random) => {
    const world = newWorld(random);
    world.delayMsMax = 1 + random.below(40);
    const [a, b] = twoNodes(world);
    await world.clock.advance(500);
    const lengths = Array.from({ length: random.below(6) }, () => random.below(3000));
    const source = makeSource(random, lengths);
    const transfer = a.transport.sendSnapshot(b.id, source);
    const faults = 1 + random.below(12);
    let left = faults;
    const result = await resultOf(world, transfer, () => {
      if (left === 0 || random.below(20) !== 0) return;
      left--;
      const kind = random.below(4);
      if (kind === 0) world.silence("a", "b");
      else if (kind === 1) world.heal();
      else world.cut("a", "b");
      if (left === 0) world.heal();
    });
    expect(result).toEqual({ ok: true });
    expect(b.sink.files).toEqual([...source.contents]);
  });
});

test("a receiver that was restarted gets all of it again", async () => {
  const world = newWorld();
  const [a, b] = twoNodes(world);
  await world.clock.advance(100);
  const source = makeSource(world.random, [20_000]);
  const transfer = a.transport.sendSnapshot(b.id, source);
  await pass(world, 100);
  expect(b.sink.bytesWritten).toBeGreaterThan(0);
  await b.transport.close();
  expect(b.sink.aborted).toBe(1);
  const again = new MemoryNode(world, "b");
  again.meet(a);
  expect(await resultOf(world, transfer)).toEqual({ ok: true });
  expect(again.sink.files).toEqual([...source.contents]);
});

test("a newer transfer takes the place of one under way, from the same or another node", async () => {
  const world = newWorld();
  const nodes = ["a", "b", "c"].map((id) => new MemoryNode(world, id));
  for (const node of nodes) node.meet(...nodes);
  const [a, b, c] = nodes as [MemoryNode, MemoryNode, MemoryNode];
  await world.clock.advance(100);
  const first = a.transport.sendSnapshot(b.id, makeSource(world.random, [90_000], 5));
  await world.clock.advance(100);
  const second = a.transport.sendSnapshot(b.id, makeSource(world.random, [90_000], 5));
  expect(await first.result).toEqual({ ok: false, reason: "cancelled" });
  await world.clock.advance(100);
  const source = makeSource(world.random, [3000], 6);
  const third = c.transport.sendSnapshot(b.id, source);
  expect(await resultOf(world, third)).toEqual({ ok: true });
  expect(b.sink.files).toEqual([...source.contents]);
  expect(await resultOf(world, second)).toMatchObject({ ok: false });
  expect([b.sink.aborted, b.sink.completed]).toEqual([2, 1]);
});

test("a leader of an older term does not take the place of a newer one's transfer", async () => {
  const world = newWorld();
  const nodes = ["a", "b", "c"].map((id) => new MemoryNode(world, id));
  for (const node of nodes) node.meet(...nodes);
  const [a, b, c] = nodes as [MemoryNode, MemoryNode, MemoryNode];
  await world.clock.advance(100);
  const source = makeSource(world.random, [9000], 6);
  const newer = a.transport.sendSnapshot(b.id, source);
  await world.clock.advance(50);
  const older = c.transport.sendSnapshot(b.id, makeSource(world.random, [10], 5));
  expect(await resultOf(world, older)).toEqual({
    ok: false,
    reason: "a newer leader sends a snapshot",
  });
  expect(await resultOf(world, newer)).toEqual({ ok: true });
  expect(b.sink.files).toEqual([...source.contents]);
});

for (const failAt of ["begin", "write", "fileDone", "complete"] as const) {
  test(`a sink that fails at ${failAt} fails the transfer, and is cleaned up`, async () => {
    const world = newWorld();
    const [a, b] = twoNodes(world);
    await world.clock.advance(100);
    b.sink.failAt = failAt;
    const transfer = a.transport.sendSnapshot(b.id, makeSource(world.random, [300, 5]));
    const result = await resultOf(world, transfer);
    expect(result).toEqual({ ok: false, reason: "the receiver cannot keep it" });
    expect([b.sink.aborted, b.sink.completed]).toEqual([1, 0]);
  });
}

test("a slow receiver is waited for, one that is gone is not, for ever", async () => {
  const world = newWorld();
  const [a, b] = twoNodes(world);
  await world.clock.advance(100);
  const slow = Promise.withResolvers<void>();
  const transfer = a.transport.sendSnapshot(b.id, makeSource(world.random, [300]));
  b.sink.pause = () =>
    b.sink.done.every(Boolean) && b.sink.files.length > 0 ? slow.promise : settle();
  const early: SnapshotResult[] = [];
  void transfer.result.then((result) => early.push(result));
  await world.clock.advance(300_000);
  expect(early).toEqual([]);
  slow.resolve();
  expect(await resultOf(world, transfer)).toEqual({ ok: true });
  await b.transport.close();
  const lost = a.transport.sendSnapshot(b.id, makeSource(world.random, [300]));
  const reason = "the receiver does not answer";
  expect(await resultOf(world, lost)).toEqual({ ok: false, reason });
});

test("a source that cannot be read, or is shorter than it said, fails the transfer", async () => {
  const world = newWorld();
  const [a, b] = twoNodes(world);
  await world.clock.advance(100);
  const source = makeSource(world.random, [300]);
  const [file] = source.files;
  if (file === undefined) throw new Error("no file");
  const unreadable = { ...file, read: () => Promise.reject(new Error("disk")) };
  const short = { ...file, length: 1000 };
  for (const bad of [unreadable, short]) {
    const transfer = a.transport.sendSnapshot(b.id, { ...source, files: [bad] });
    expect(await resultOf(world, transfer)).toMatchObject({ ok: false });
    await pass(world, 100);
    expect(b.sink.announcement).toBeNull();
  }
  expect(b.sink.completed).toBe(0);
});

test("Raft's messages pass between chunks: never more than one waits before them", async () => {
  const world = newWorld();
  const [a, b] = twoNodes(world);
  await world.clock.advance(100);
  const transfer = a.transport.sendSnapshot(b.id, makeSource(world.random, [20_000]));
  let waiting = 0;
  world.tamper = (_, __, frame) => {
    waiting = Math.max(waiting, frame.length);
    return frame;
  };
  let sent = 0;
  const result = await resultOf(world, transfer, () => {
    a.transport.send([
      {
        type: "heartbeat",
        from: a.id,
        to: b.id,
        term: 1 as Term,
        commit: 0 as LogIndex,
        round: sent++,
      },
    ]);
  });
  await world.clock.advance(100);
  expect(result).toEqual({ ok: true });
  expect(b.received.length).toBe(sent);
  // 100 bytes of a chunk, its names, and the frame's header.
  expect(waiting).toBeLessThan(200);
});

/** A receiver by itself, to which frames are forged. */
class Forge {
  readonly sink = new MemorySink();
  readonly answers: SnapshotStatus[] = [];
  readonly receiver = new SnapshotReceiver({
    sink: this.sink,
    log: SILENT,
    answer: (_, status) => this.answers.push(status),
  });
  readonly id: TransferId = "00000000000000aa";
  readonly from = "a" as NodeId;
  readonly #writer = new FrameWriter();

  async begin(lengths: readonly number[], { fresh = false, id = this.id } = {}): Promise<void> {
    const files = lengths.map((length, i) => ({ name: `f${i}`, length }));
    const meta = new Uint8Array(0);
    writeSnapshotBegin(this.#writer.begin("snapshot_begin"), {
      id,
      fresh,
      term: 1 as Term,
      meta,
      files,
    });
    await this.#deliver();
  }

  async chunk(file: number, position: number, bytes: Uint8Array, id = this.id): Promise<void> {
    writeSnapshotChunk(this.#writer.begin("snapshot_chunk"), { id, file, position, bytes });
    await this.#deliver();
  }

  async end(file: number, crc: number): Promise<void> {
    writeSnapshotFileEnd(this.#writer.begin("snapshot_file_end"), { id: this.id, file, crc });
    await this.#deliver();
  }

  async abort(): Promise<void> {
    writeSnapshotAbort(this.#writer.begin("snapshot_abort"), this.id);
    await this.#deliver();
  }

  async #deliver(): Promise<void> {
    const address = { shard: SHARD_0, session: NO_SESSION };
    const frame = decodeFrame(this.#writer.finish(address).slice(), address);
    this.receiver.receive(this.from, frame);
    for (let i = 0; i < 5; i++) await settle();
  }
}

const BYTES = Uint8Array.from({ length: 10 }, (_, i) => i);

test("chunks are taken once and in order: repeats and gaps change nothing", async () => {
  const forge = new Forge();
  await forge.begin([10]);
  await forge.chunk(0, 0, BYTES.subarray(0, 4));
  await forge.chunk(0, 0, BYTES.subarray(0, 4));
  await forge.chunk(0, 8, BYTES.subarray(8));
  expect(forge.sink.bytesWritten).toBe(4);
  await forge.end(0, crc32(BYTES));
  expect(forge.sink.done).toEqual([false]);
  await forge.chunk(0, 4, BYTES.subarray(4));
  expect(forge.answers.at(-1)).toMatchObject({ state: "progress", at: { position: 10 } });
  await forge.end(0, crc32(BYTES));
  expect(forge.answers.at(-1)).toMatchObject({ state: "done" });
  expect(forge.sink.files).toEqual([BYTES]);
  await forge.end(0, crc32(BYTES));
  await forge.begin([10]);
  expect(forge.answers.at(-1)).toMatchObject({ state: "done" });
  expect(forge.sink.completed).toBe(1);
});

const HOSTILE: Readonly<Record<string, (forge: Forge) => Promise<void>>> = {
  "chunks overlap": (forge) => forge.chunk(0, 2, BYTES.subarray(2, 8)),
  "a chunk lies outside of its file": (forge) => forge.chunk(0, 4, new Uint8Array(7)),
  "a chunk lies outside of its file ": (forge) => forge.chunk(0, 11, new Uint8Array(1)),
  "a chunk lies outside of its file  ": (forge) => forge.chunk(7, 0, new Uint8Array(1)),
  "a chunk lies outside of its file   ": (forge) =>
    forge.chunk(0, Number.MAX_SAFE_INTEGER, new Uint8Array(1)),
  "an end of no file": (forge) => forge.end(9, 0),
  "a file's checksum differs": async (forge) => {
    await forge.chunk(0, 4, BYTES.subarray(4));
    await forge.end(0, crc32(BYTES) ^ 1);
  },
};
for (const [reason, act] of Object.entries(HOSTILE)) {
  test(`a transfer fails if ${reason}`, async () => {
    const forge = new Forge();
    await forge.begin([10, 5]);
    await forge.chunk(0, 0, BYTES.subarray(0, 4));
    await act(forge);
    expect(forge.answers.at(-1)).toMatchObject({ state: "failed", reason: reason.trim() });
    expect([forge.sink.aborted, forge.sink.completed]).toEqual([1, 0]);
    await forge.chunk(0, 4, BYTES.subarray(4));
    expect(forge.sink.bytesWritten).toBeLessThanOrEqual(10);
  });
}

test("the same transfer with another total begins anew, as does a fresh one", async () => {
  const forge = new Forge();
  await forge.begin([10]);
  await forge.chunk(0, 0, BYTES.subarray(0, 4));
  await forge.begin([10]);
  expect(forge.answers.at(-1)).toMatchObject({ state: "resume", at: { position: 4 } });
  await forge.begin([11]);
  expect(forge.answers.at(-1)).toMatchObject({ state: "resume", at: { position: 0 } });
  expect(forge.sink.aborted).toBe(1);
  await forge.chunk(0, 0, BYTES.subarray(0, 4));
  await forge.begin([11], { fresh: true });
  expect(forge.answers.at(-1)).toMatchObject({ state: "resume", at: { position: 0 } });
  expect(forge.sink.aborted).toBe(2);
});

test("chunks of an unknown or aborted transfer are not written", async () => {
  const forge = new Forge();
  await forge.chunk(0, 0, BYTES);
  expect(forge.answers.at(-1)).toMatchObject({ state: "failed" });
  await forge.begin([10]);
  await forge.abort();
  expect(forge.sink.aborted).toBe(1);
  await forge.chunk(0, 0, BYTES);
  expect(forge.sink.bytesWritten).toBe(0);
});

test("a sender that does not wait is cut off before memory is full", async () => {
  const forge = new Forge();
  const stuck = Promise.withResolvers<void>();
  forge.sink.pause = () => stuck.promise;
  await forge.begin([SNAPSHOT_QUEUE_BYTES_MAX * 2]);
  const piece = new Uint8Array(SNAPSHOT_QUEUE_BYTES_MAX / 4);
  for (let i = 0; i < 3; i++) await forge.chunk(0, i * piece.length, piece);
  expect(forge.chunk(0, 3 * piece.length, piece)).rejects.toThrow("more of a snapshot");
  stuck.resolve();
});
