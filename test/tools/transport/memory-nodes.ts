/** Transports over the network in memory, in simulated time. */
import { type NodeId, SHARD_0 } from "../../../src/lib/ids.ts";
import { SILENT } from "../../../src/metrics/log.ts";
import type { Message, Term } from "../../../src/raft/types.ts";
import type { BatchesHandler } from "../../../src/transport/batch-exchange.ts";
import type { MembershipInfo } from "../../../src/transport/handshake-codec.ts";
import type { TransportLimits } from "../../../src/transport/limits.ts";
import type {
  SnapshotAnnouncement,
  SnapshotSink,
  SnapshotSource,
} from "../../../src/transport/snapshot-types.ts";
import { Transport } from "../../../src/transport/transport.ts";
import type { Random } from "../random.ts";
import { settle } from "../sim/sim-clock.ts";
import type { MemoryWorld } from "./memory-network.ts";

/** Keeps files in memory and checks that its calls keep their promises. */
export class MemorySink implements SnapshotSink {
  announcement: SnapshotAnnouncement | null = null;
  readonly announced: SnapshotAnnouncement[] = [];
  files: Uint8Array[] = [];
  done: boolean[] = [];
  completed = 0;
  aborted = 0;
  bytesWritten = 0;
  /** Awaited within each call. */
  pause: () => Promise<void> = settle;
  failAt: "begin" | "write" | "fileDone" | "complete" | null = null;
  #lengths: number[] = [];
  #inside = false;

  begin(announcement: SnapshotAnnouncement): Promise<void> {
    return this.#call("begin", () => {
      if (this.announcement !== null) throw new Error("begun twice");
      this.announcement = announcement;
      this.announced.push(announcement);
      this.files = announcement.files.map(({ length }) => new Uint8Array(length));
      this.done = announcement.files.map(() => false);
      this.#lengths = announcement.files.map(() => 0);
    });
  }

  write(file: number, position: number, bytes: Uint8Array): Promise<void> {
    return this.#call("write", () => {
      if (this.#lengths[file] !== position || this.done[file]) throw new Error("out of order");
      this.files[file]?.set(bytes, position);
      this.#lengths[file] = position + bytes.length;
      this.bytesWritten += bytes.length;
    });
  }

  fileDone(file: number): Promise<void> {
    return this.#call("fileDone", () => {
      if (this.#lengths[file] !== this.files[file]?.length) throw new Error("not all is there");
      this.done[file] = true;
    });
  }

  complete(): Promise<void> {
    return this.#call("complete", () => {
      if (!this.done.every(Boolean)) throw new Error("not all are done");
      this.completed++;
      this.announcement = null;
    });
  }

  abort(): Promise<void> {
    return this.#call("abort", () => {
      this.aborted++;
      this.announcement = null;
    });
  }

  async #call(name: string, run: () => void): Promise<void> {
    if (this.#inside) throw new Error("calls overlap");
    this.#inside = true;
    try {
      await this.pause();
      if (name === this.failAt) throw new Error("no space left");
      run();
    } finally {
      this.#inside = false;
    }
  }
}

export class MemoryNode {
  readonly id: NodeId;
  readonly transport: Transport;
  readonly sink = new MemorySink();
  readonly received: Message[] = [];
  readonly unreachable: NodeId[] = [];
  /** The answer to a peer that asks for batches. */
  batches: BatchesHandler = () => Promise.resolve(null);

  /** @param membershipInfo may change later. */
  constructor(
    world: MemoryWorld,
    id: string,
    limits: Partial<TransportLimits> = {},
    membershipInfo: MembershipInfo = { membershipVersion: 0, address: null },
  ) {
    this.id = id as NodeId;
    this.transport = new Transport({
      network: world.network(id),
      identity: null,
      clock: world.clock,
      random: world.random,
      log: SILENT,
      local: { id: this.id, storageId: `disk of ${id}`, clusterId: "cluster" },
      shard: SHARD_0,
      limits: { snapshotChunkBytes: 100, ...limits },
      membershipInfo: () => membershipInfo,
    });
    this.transport.start({
      messages: (messages) => this.received.push(...messages),
      unreachable: (peer) => this.unreachable.push(peer),
      clusterLearnt: () => {},
      met: () => true,
      snapshots: this.sink,
      batches: (wanted, from) => this.batches(wanted, from),
    });
  }

  meet(...others: readonly { readonly id: NodeId }[]): void {
    this.transport.setPeers(others.map(({ id }) => ({ id, host: id, port: 7000 })));
  }
}

export type MemorySource = SnapshotSource & { readonly contents: readonly Uint8Array[] };

export function makeSource(random: Random, lengths: readonly number[], term = 5): MemorySource {
  const contents = lengths.map((length) => Uint8Array.from({ length }, () => random.below(256)));
  return {
    term: term as Term,
    meta: new Uint8Array([1, 2, 3]),
    contents,
    files: contents.map((content, i) => ({
      name: i === 0 ? "checkpoint" : `partitions/${i}-0/00000000000000000000.seg`,
      length: content.length,
      read: async (position, length) => {
        await settle();
        return content.subarray(position, position + length);
      },
    })),
  };
}
