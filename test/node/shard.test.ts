/** Goal: the loop of a Raft group keeps the order that the core asks for. Method: scripted outputs. */
import { expect, test } from "bun:test";
import { DiskFull } from "../../src/env/disk.ts";
import type { NodeEvent } from "../../src/node/events.ts";
import { Shard } from "../../src/node/replica/shard.ts";
import type { Core } from "../../src/raft/core.ts";
import { EMPTY_CONFIGURATION } from "../../src/raft/membership.ts";
import type {
  Entry,
  HardState,
  LogIndex,
  Message,
  NodeId,
  Output,
  Persist,
  Term,
} from "../../src/raft/types.ts";
import type { HardStateFile } from "../../src/storage/hard-state.ts";
import type { Journal } from "../../src/storage/journal/journal.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

const NOTHING: Output = {
  persist: null,
  messages: [],
  messagesAfterPersist: [],
  committed: [],
  readStates: [],
  readsDropped: [],
  roleChange: null,
  configuration: null,
  fetches: [],
  snapshotNeeded: [],
};
const entry = (index: number, term = 1): Entry => ({
  index: index as LogIndex,
  term: term as Term,
  type: "normal",
  data: new Uint8Array(1),
});
const hard = (term: number, commit = 0): HardState => ({
  term: term as Term,
  vote: null,
  commit: commit as LogIndex,
});
const named = (entries: readonly Entry[]): string =>
  entries.map(({ index, term }) => `${index}@${term}`).join(" ");
const message = (round: number): Message => ({
  type: "heartbeat",
  from: "n1" as NodeId,
  to: "n2" as NodeId,
  term: 1 as Term,
  commit: 0 as LogIndex,
  round,
});

/**
 * A shard around a core that outputs what the test tells it to, and a disk that waits to be
 * released.
 */
class Bench {
  readonly clock = new SimClock();
  readonly calls: string[] = [];
  readonly core = {
    role: "follower",
    marker: null as object | null,
    configuration: { ...EMPTY_CONFIGURATION, voters: ["n1", "n2", "n3"] as NodeId[] },
  };
  readonly journal = { marker: null as object | null };
  readonly shard: Shard;
  /** Number of entries that one event-loop iteration applies. */
  applyAtMost = 100;
  appendErrors: Error[] = [];
  readonly #outputs: Output[] = [];
  readonly #waiting: (() => void)[] = [];
  #tokens = 0;

  constructor() {
    const say = (what: string) => {
      this.calls.push(what);
    };
    const disk = (what: string): Promise<void> => {
      say(what);
      return new Promise((resolve) => this.#waiting.push(resolve));
    };
    const core = Object.assign(this.core, {
      drain: () => this.#outputs.shift() ?? NOTHING,
      persisted: (token: number) => say(`persisted ${token}`),
      applied: (index: number) => say(`applied ${index}`),
      evict: () => {},
      tick: () => {},
      step: () => {},
      stepDown: () => say("stepDown"),
    });
    const journal = Object.assign(this.journal, {
      append: async (entries: readonly Entry[]) => {
        await disk(`append ${named(entries)}`);
        const error = this.appendErrors.shift();
        if (error !== undefined) throw error;
      },
      releaseMarker: async () => say("releaseMarker"),
    });
    const hardState = {
      save: (state: HardState, { commit }: { commit: boolean }) =>
        disk(`save ${state.term}/${state.commit}${commit ? " with commit" : ""}`),
    };
    const emit = (event: NodeEvent) => {
      if (event.type === "failed") say(`fault ${(event.error as Error).message}`);
      if (event.type !== "messages") return;
      const rounds = event.messages.map((one) => (one.type === "heartbeat" ? one.round : "?"));
      say(`send ${rounds.join(" ")}`);
    };
    this.shard = new Shard({
      core: core as unknown as Core,
      journal: journal as unknown as Journal,
      hardState: hardState as unknown as HardStateFile,
      clock: this.clock,
      tickMs: 100,
      electionTimeoutMs: 1000,
      emit,
    });
    this.shard.connect({
      queue: { propose: () => say("propose") },
      applier: {
        apply: (entries, start) => {
          const end = Math.min(entries.length, start + this.applyAtMost);
          say(`apply ${named(entries.slice(start, end))}`);
          return end;
        },
      },
      snapshots: {
        accepted: () => say("accepted"),
        isUnfinished: false,
        finish: () => Promise.resolve(),
        install: ({ index }) => disk(`install ${index}`),
      },
      disk: { roomNeeded: () => disk("roomNeeded") },
    });
  }

  /**
   * The core outputs this in an event-loop iteration of its own. @returns the calls except
   * `propose`.
   */
  async turn(output: Partial<Output>): Promise<string[]> {
    this.#outputs.push({ ...NOTHING, ...output });
    this.shard.deferIteration();
    return await this.settled();
  }

  persist(parts: Partial<Persist>): Persist {
    this.#tokens++;
    const nothing = { entries: [], hardState: null, snapshot: null, mustSync: true };
    return { ...nothing, syncCommit: false, ...parts, token: this.#tokens };
  }

  /** The oldest disk operation under way ends. */
  async diskDone(): Promise<string[]> {
    this.#waiting.shift()?.();
    return await this.settled();
  }

  async settled(): Promise<string[]> {
    await this.clock.advance(1);
    return this.calls.splice(0).filter((call) => call !== "propose");
  }
}

test("what is said after a write leaves once it is on disk, entries before the hard state", async () => {
  const bench = new Bench();
  const persist = bench.persist({ entries: [entry(2)], hardState: hard(1) });
  const messagesAfterPersist = [message(8)];
  const out = { persist, messages: [message(7)], messagesAfterPersist };
  expect(await bench.turn(out)).toEqual(["send 7", "append 2@1"]);
  expect(await bench.diskDone()).toEqual(["save 1/0"]);
  expect(await bench.diskDone()).toEqual(["persisted 1", "send 8"]);
});

test("writes that wait are merged: later ones overwrite the end of earlier ones", async () => {
  const bench = new Bench();
  await bench.turn({ persist: bench.persist({ entries: [entry(1)] }) });
  const later: Partial<Output>[] = [
    {
      persist: bench.persist({ entries: [entry(2), entry(3), entry(4)], hardState: hard(1) }),
      messagesAfterPersist: [message(2)],
    },
    { persist: bench.persist({ hardState: hard(2, 1), syncCommit: true }) },
    {
      persist: bench.persist({ entries: [entry(3, 2), entry(4, 2)], hardState: hard(3, 1) }),
      messagesAfterPersist: [message(4)],
    },
    { persist: bench.persist({ entries: [entry(5, 2)] }) },
  ];
  for (const output of later) expect(await bench.turn(output)).toEqual([]);
  expect(await bench.diskDone()).toEqual(["persisted 1", "append 2@1 3@2 4@2 5@2"]);
  // The newest hard state; the commit mark that one of them asked for stays asked for.
  expect(await bench.diskDone()).toEqual(["save 3/1 with commit"]);
  expect(await bench.diskDone()).toEqual([
    "persisted 2",
    "send 2",
    "persisted 3",
    "persisted 4",
    "send 4",
    "persisted 5",
  ]);
});

test("a snapshot among them takes the place of what was to be written before it", async () => {
  const bench = new Bench();
  const snapshot = (index: number) => ({
    index: index as LogIndex,
    term: 2 as Term,
    configuration: EMPTY_CONFIGURATION,
  });
  await bench.turn({ persist: bench.persist({ entries: [entry(1)] }) });
  await bench.turn({ persist: bench.persist({ entries: [entry(2), entry(3)] }) });
  const first = bench.persist({ snapshot: snapshot(10), entries: [entry(11, 2)] });
  expect(await bench.turn({ persist: first })).toEqual(["accepted"]);
  const second = bench.persist({ snapshot: snapshot(20) });
  expect(await bench.turn({ persist: second })).toEqual(["accepted"]);
  await bench.turn({ persist: bench.persist({ entries: [entry(21, 2)] }) });
  expect(await bench.diskDone()).toEqual(["persisted 1", "install 20"]);
  expect(await bench.diskDone()).toEqual(["append 21@2"]);
  expect(await bench.diskDone()).toEqual([
    "persisted 2",
    "persisted 3",
    "persisted 4",
    "persisted 5",
  ]);
});

test("committed entries are applied once and in order, as many as fit a turn", async () => {
  const bench = new Bench();
  bench.applyAtMost = 2;
  const committed = [1, 2, 3].map((index) => entry(index));
  bench.shard.deferIteration();
  const first = bench.turn({ committed });
  bench.shard.deferIteration();
  expect(await first).toEqual(["apply 1@1 2@1", "applied 2", "apply 3@1", "applied 3"]);
});

test("what is committed while a backlog is worked off goes behind it", async () => {
  const bench = new Bench();
  bench.applyAtMost = 1;
  const idle: string[] = [];
  const outputs = [
    { ...NOTHING, committed: [entry(1), entry(2), entry(3)] },
    { ...NOTHING, committed: [entry(4)] },
  ];
  Object.assign(bench.core, { drain: () => outputs.shift() ?? NOTHING });
  bench.shard.deferIteration();
  void bench.shard.whenIdle().then(() => idle.push("idle"));
  bench.clock.step();
  expect([bench.calls.filter((call) => call !== "propose"), idle]).toEqual([
    ["apply 1@1", "applied 1"],
    [],
  ]);
  expect(await bench.settled()).toEqual(
    [1, 2, 3, 4].flatMap((index) => [`apply ${index}@1`, `applied ${index}`]),
  );
  expect(idle).toEqual(["idle"]);
});

test("a backlog behind a snapshot is dropped, and nothing is applied while it is installed", async () => {
  const bench = new Bench();
  bench.applyAtMost = 1;
  const snapshot = {
    index: 10 as LogIndex,
    term: 2 as Term,
    configuration: EMPTY_CONFIGURATION,
  };
  const outputs: Output[] = [
    { ...NOTHING, committed: [entry(1), entry(2), entry(3)] },
    { ...NOTHING, persist: bench.persist({ snapshot }) },
  ];
  Object.assign(bench.core, { drain: () => outputs.shift() ?? NOTHING });
  bench.shard.deferIteration();
  const calls = await bench.settled();
  expect(calls).toEqual(["apply 1@1", "applied 1", "accepted", "install 10"]);
  outputs.push({ ...NOTHING, committed: [entry(11, 2)] });
  bench.shard.deferIteration();
  expect(await bench.settled()).toEqual([]);
  expect(await bench.diskDone()).toEqual(["persisted 1", "apply 11@2", "applied 11"]);
  await bench.shard.whenIdle();
});

test("nothing is proposed while a write is under way", async () => {
  const bench = new Bench();
  await bench.turn({ persist: bench.persist({ entries: [entry(1)] }) });
  await bench.turn({});
  bench.shard.deferIteration();
  await bench.clock.advance(1);
  expect(bench.calls).toEqual([]);
  await bench.diskDone();
  bench.shard.wake();
  await bench.clock.advance(1);
  expect(bench.calls).toEqual(["propose"]);
});

test("the truncated-log marker goes once the core has let go of it, not before", async () => {
  const bench = new Bench();
  bench.journal.marker = {};
  bench.core.marker = {};
  await bench.turn({ persist: bench.persist({ entries: [entry(1)] }) });
  expect(await bench.diskDone()).toEqual(["persisted 1"]);
  bench.core.marker = null;
  await bench.turn({ persist: bench.persist({ entries: [entry(2)] }) });
  expect(await bench.diskDone()).toEqual(["releaseMarker", "persisted 2"]);
});

test("a full disk is tried again when there is room, and says nothing meanwhile", async () => {
  const bench = new Bench();
  bench.appendErrors = [new DiskFull("no space left")];
  const out = {
    persist: bench.persist({ entries: [entry(1)] }),
    messagesAfterPersist: [message(1)],
  };
  expect(await bench.turn(out)).toEqual(["append 1@1"]);
  expect(await bench.diskDone()).toEqual(["roomNeeded"]);
  expect(await bench.diskDone()).toEqual(["append 1@1"]);
  expect(await bench.diskDone()).toEqual(["persisted 1", "send 1"]);
});

test("a failed write ends it: nothing of it is told to anybody", async () => {
  const bench = new Bench();
  bench.appendErrors = [new Error("EIO")];
  const out = {
    persist: bench.persist({ entries: [entry(1)] }),
    messagesAfterPersist: [message(1)],
  };
  await bench.turn(out);
  expect(await bench.diskDone()).toEqual(["fault EIO"]);
  expect(await bench.turn({ messages: [message(2)] })).toEqual([]);
});

test("a leader whose disk is stuck for an election timeout gives way, unless it is alone", async () => {
  for (const [voters, expected] of [
    ["n1 n2 n3", true],
    ["n1 n2", true],
    ["n1", false],
  ] as const) {
    const bench = new Bench();
    bench.core.role = "leader";
    bench.core.configuration.voters = voters.split(" ") as NodeId[];
    bench.shard.start();
    await bench.turn({ persist: bench.persist({ entries: [entry(1)] }) });
    await bench.clock.advance(900);
    expect(bench.calls).not.toContain("stepDown");
    await bench.clock.advance(300);
    expect(bench.calls.includes("stepDown")).toBe(expected);
    bench.shard.stop();
  }
});
