/** Nodes that forward writes over links in memory, in simulated time; the test says who leads. */
import { utf8 } from "../../../src/lib/bytes.ts";
import { type NodeId, SHARD_0 } from "../../../src/lib/ids.ts";
import { LEVEL_DELIVERY } from "../../../src/lib/log-levels.ts";
import { createInstruments } from "../../../src/metrics/instruments.ts";
import { SILENT } from "../../../src/metrics/log.ts";
import type { KvPutOutcome, ProduceOutcome, ProduceRequest } from "../../../src/node/api.ts";
import type { CallName, ForwardedCalls } from "../../../src/node/forward/calls.ts";
import type { AnyCall, LocalWrites } from "../../../src/node/forward/forwarded.ts";
import { Forwarding } from "../../../src/node/forward/forwarding.ts";
import type { Message, Term } from "../../../src/raft/types.ts";
import { encodeRecord } from "../../../src/record/batch-builder.ts";
import { Transport } from "../../../src/transport/transport.ts";
import { Random } from "../random.ts";
import { SimClock } from "../sim/sim-clock.ts";
import { MemoryWorld } from "../transport/memory-network.ts";

export const A = "a" as NodeId;
export const B = "b" as NodeId;
export const C = "c" as NodeId;
export const COMMIT_TIMEOUT_MS = 5_000;

type Role = "leader" | "follower" | "candidate";
type Core = { id: NodeId; role: Role; leader: NodeId | null; term: Term };

/** A node whose consensus is what the test says. */
export class ForwardNode {
  readonly core: Core;
  readonly transport: Transport;
  readonly forwarding: Forwarding;
  readonly instruments = createInstruments();
  readonly messages: Message[] = [];
  /** Produce requests that this node executed, with the function that answers each. */
  readonly produced: { request: ProduceRequest; done: (outcome: ProduceOutcome) => void }[] = [];
  readonly put: { key: string; done: (outcome: KvPutOutcome) => void }[] = [];
  readonly called: { name: string; given: readonly unknown[] }[] = [];
  /** Calls that wait. */
  readonly waiting: { signal: AbortSignal; end: (outcome: unknown) => void }[] = [];
  /** The outcome of each call that does not wait. */
  callOutcome: unknown = { ok: true };
  isMember = true;
  readonly #levels = new Map<NodeId, number>();

  constructor(
    world: MemoryWorld,
    id: NodeId,
    { level = LEVEL_DELIVERY, queueRequestsMax = 100_000, forwards = true } = {},
  ) {
    const { clock, random } = world;
    this.core = { id, role: "follower", leader: null, term: 1 as Term };
    this.transport = new Transport({
      network: world.network(id),
      identity: null,
      clock,
      random,
      log: SILENT,
      local: { id, storageId: `disk of ${id}`, clusterId: "cluster" },
      shard: SHARD_0,
      level,
    });
    this.forwarding = new Forwarding({
      forwards,
      core: this.core,
      local: this.#local(),
      links: this.transport,
      isMember: () => this.isMember,
      lastLevelOf: (peer) => this.#levels.get(peer) ?? 0,
      clock,
      random,
      commitTimeoutMs: COMMIT_TIMEOUT_MS,
      queueBytesMax: 1 << 24,
      queueRequestsMax,
      instruments: this.instruments,
    });
    this.transport.start({
      messages: (messages) => this.messages.push(...messages),
      unreachable: () => {},
      clusterLearnt: () => {},
      met: ({ peer, level: known }) => {
        this.#levels.set(peer, known);
        return true;
      },
      commands: this.forwarding,
    });
  }

  get writes() {
    return this.forwarding.writes;
  }

  /** Consensus says who leads. */
  follow(leader: NodeId | null, term = this.core.term + 1): void {
    this.core.leader = leader;
    this.core.role = leader === this.core.id ? "leader" : "follower";
    this.core.term = term as Term;
    this.writes.roleChanged();
  }

  produce(text: string, timeoutMs: number | null = null, partition: number | null = 0): string[] {
    const outcomes: string[] = [];
    this.writes.produce({ ...requestOf(text), partition, timeoutMs }, (outcome) =>
      outcomes.push(outcome.ok ? `ok ${outcome.firstOffset}` : outcome.code),
    );
    return outcomes;
  }

  /** Texts of the produce requests that this node executed. */
  get texts(): string[] {
    return this.produced.map(({ request }) =>
      new TextDecoder().decode(request.records.bytes).slice(-1),
    );
  }

  #local(): LocalWrites {
    const call =
      (name: string): AnyCall =>
      (...given) => {
        this.called.push({ name, given });
        return Promise.resolve(this.callOutcome);
      };
    const names: readonly CallName[] = ["commitOffset", "createTopic", "kvDelete", "redrive"];
    const calls: Partial<Record<CallName, AnyCall>> = Object.fromEntries(
      names.map((name) => [name, call(name)]),
    );
    calls.receive = (request, signal) => {
      this.called.push({ name: "receive", given: [request] });
      return new Promise((end) => this.waiting.push({ signal: signal as AbortSignal, end }));
    };
    return {
      produce: (request, done) => this.produced.push({ request, done }),
      kvPut: ({ key }, done) => this.put.push({ key, done }),
      calls: calls as unknown as ForwardedCalls,
    };
  }
}

const requestOf = (text: string): ProduceRequest => ({
  topic: "t",
  partition: 0,
  key: null,
  idempotencyKey: null,
  records: encodeRecord(null, utf8(text)),
  timeoutMs: null,
  rocket: false,
});

export const stored = (firstOffset: number): ProduceOutcome => ({
  ok: true,
  partition: 0,
  firstOffset,
  count: 1,
  duplicate: false,
  payloadMatches: true,
  committed: true,
  batchId: 7,
  synced: true,
  ackedBy: 2,
  queueUs: 1,
  syncWaitUs: 2,
});

export async function nodes() {
  const world = new MemoryWorld(new SimClock(), new Random(1));
  const made = [A, B, C].map((id) => new ForwardNode(world, id)) as [
    ForwardNode,
    ForwardNode,
    ForwardNode,
  ];
  await meet(world, made);
  return { world, a: made[0], b: made[1], c: made[2] };
}

export async function meet(world: MemoryWorld, made: readonly ForwardNode[]): Promise<void> {
  for (const { transport, core } of made) {
    const others = made.filter((other) => other.core.id !== core.id);
    transport.setPeers(others.map(({ core: { id } }) => ({ id, host: id, port: 7000 })));
  }
  await world.clock.advance(1000);
}
