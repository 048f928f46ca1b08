/** Stream processing on a machine whose records are in memory, without Raft and disks. */

import type { PartitionState } from "../../../src/broker/state.ts";
import { BunClock } from "../../../src/env/bun-clock.ts";
import { viewBody } from "../../../src/http/query-answers.ts";
import { ByteWriter } from "../../../src/lib/bytes.ts";
import type { SomeKind } from "../../../src/lib/command-kind.ts";
import type { Micros, Millis } from "../../../src/lib/ids.ts";
import { closeEntry, encodeCommand, openEntry } from "../../../src/machine/command-codec.ts";
import type { Command, CommandResult } from "../../../src/machine/commands.ts";
import { type Effects, Machine } from "../../../src/machine/machine.ts";
import { SILENT } from "../../../src/metrics/log.ts";
import { PartitionHandle, setHandle } from "../../../src/node/partition-handle.ts";
import { RecordWaits } from "../../../src/node/reads/record-waits.ts";
import { Streams, type StreamsOptions } from "../../../src/node/streams/streams.ts";
import type { Commander, CommandRun } from "../../../src/node/writes/commander.ts";
import { BatchBuilder } from "../../../src/record/batch-builder.ts";
import { batchCount, batchLength, stampBatch } from "../../../src/record/batch-header.ts";
import type { Offset } from "../../../src/record/offset.ts";
import type { PartitionLog } from "../../../src/storage/partitions/log.ts";

/** The real one, but its monotonic time can be moved forward. */
export class MovableClock extends BunClock {
  movedMs = 0;
  override monotonic(): Micros {
    return (super.monotonic() + this.movedMs * 1000) as Micros;
  }
}

/** The stored batches of a partition. */
export class FakeLog {
  readonly batches: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  readonly reads: number[] = [];
  deleted = false;
  lowWatermark = 0;
  /** A read waits for this, as if there were a file. */
  gate: Promise<void> | null = null;
  failure: Error | null = null;

  read(from: number, maxRecords: number): Uint8Array[] | Promise<Uint8Array[]> {
    this.reads.push(from);
    if (this.failure !== null) throw this.failure;
    const slices = () =>
      this.batches
        .filter(
          ({ offset, bytes }) => offset + batchCount(bytes, 0) > Math.max(from, this.lowWatermark),
        )
        .slice(0, Math.min(maxRecords, 1_000))
        .map(({ bytes }) => bytes);
    return this.gate === null ? slices() : this.gate.then(slices);
  }
}

export class StreamBench implements Effects {
  readonly machine: Machine;
  readonly clock = new MovableClock();
  readonly logs: Map<string, FakeLog>;
  readonly streams: Streams;
  isLeader = true;
  readonly saved: number[] = [];
  #result: CommandResult | null = null;

  /** @param logs of an earlier life, with its machine. */
  constructor(machine = new Machine(), logs = new Map<string, FakeLog>()) {
    this.machine = machine;
    this.logs = logs;
    for (const topic of machine.broker.topicsById.values()) topic.partitions.forEach(this.#attach);
    this.streams = new Streams({
      machine,
      commander: this.#commander(),
      clock: this.clock,
      log: SILENT,
      replica: this.#replica(),
      emit: (event) => {
        throw event.type === "failed" ? event.error : new Error(event.type);
      },
    });
  }

  /** Leads or not, as the test says. */
  #replica(): StreamsOptions["replica"] {
    const isLeader = () => this.isLeader;
    return {
      get isLeader() {
        return isLeader();
      },
      linearizer: { catchUp: () => Promise.resolve(null) },
    };
  }

  /** Applies one command. */
  run(command: Command): CommandResult {
    const writer = new ByteWriter();
    const start = openEntry(writer);
    encodeCommand(writer, command);
    closeEntry(writer, start, 1_000 as Millis, 1);
    this.machine.apply(writer.take(), this);
    this.streams.applied();
    if (this.#result === null) throw new Error("a command has a result");
    return this.#result;
  }

  log(topicId = 1, partition = 0): FakeLog {
    const log = this.logs.get(`${topicId}/${partition}`);
    if (log === undefined) throw new Error("no such partition");
    return log;
  }

  async view(name = "v"): Promise<Record<string, unknown>> {
    const answer = await this.streams.getView(name, new AbortController().signal);
    return answer.ok ? JSON.parse(viewBody(answer)) : { ...answer };
  }

  result(_position: number, result: CommandResult): void {
    this.#result = result;
    if (result.ok && result.type === "save_view" && result.saved)
      this.saved.push(this.saved.length);
  }
  append(partition: PartitionState, batches: Uint8Array, baseOffset: Offset, at: Millis): void {
    const log = this.log(partition.topicId, partition.partition);
    let offset: number = baseOffset;
    for (let from = 0; from < batches.length; ) {
      const bytes = batches.slice(from, from + batchLength(batches, from));
      stampBatch(bytes, 0, offset, at, 0);
      log.batches.push({ offset, bytes });
      offset += batchCount(bytes, 0);
      from += bytes.length;
    }
  }
  trimmed(partition: PartitionState): void {
    this.log(partition.topicId, partition.partition).lowWatermark = partition.lowWatermark;
  }
  topicCreated(topic: { readonly partitions: readonly PartitionState[] }): void {
    topic.partitions.forEach(this.#attach);
  }
  streamChanged(): void {}

  topicDeleted(topic: { readonly partitions: readonly PartitionState[] }): void {
    for (const { topicId, partition } of topic.partitions) {
      this.log(topicId, partition).deleted = true;
    }
  }
  membersChanged(): void {}
  groupMemberChanged(): void {}
  checksum(): void {}

  readonly #attach = (partition: PartitionState): void => {
    const key = `${partition.topicId}/${partition.partition}`;
    const log = this.logs.get(key) ?? new FakeLog();
    this.logs.set(key, log);
    const asLog = log as unknown as PartitionLog;
    setHandle(partition, new PartitionHandle(partition, asLog, new RecordWaits(this.clock)));
  };

  #commander(): Commander {
    const run = (command: CommandRun<SomeKind, unknown, never>): Promise<unknown> => {
      const { type } = command.kind;
      const result = this.run({ type, ...command.fields } as Command);
      const ack = { batchId: 1, synced: true, ackedBy: 1 } as const;
      return Promise.resolve(
        result.ok && result.type === type ? command.done(result as never, ack) : result,
      );
    };
    const whenCurrent = () => Promise.resolve(null);
    return { run, whenCurrent } as unknown as Commander;
  }
}

/** A command that stores one record of each value in topic 1. */
export function produceOf(values: readonly unknown[], partition = 0): Command {
  const { bytes: batches, count, logicalBytes } = recordsOf(values);
  const place = { topicId: 1, partition, idempotency: null };
  return { type: "produce", ...place, count, logicalBytes, batches };
}

/** Records of one value each, in a batch. */
function recordsOf(values: readonly unknown[]) {
  const builder = new BatchBuilder();
  for (const value of values) builder.add(null, new TextEncoder().encode(JSON.stringify(value)));
  return builder.finish();
}

export const VIEW_BODY = JSON.stringify({
  source: { topic: "t" },
  aggregate: { group_by: ["g"] },
});

/** Waits until it holds, or fails. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (await holds()) return;
    await Bun.sleep(5);
  }
  throw new Error(`not in time: ${what}`);
}
