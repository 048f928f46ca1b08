/** The state of queues as this node has applied it. */
import type { Machine } from "../../machine/machine.ts";
import { atWork, deadLetters, type FoundQueue } from "../../queue/find.ts";
import { batchTimestamp } from "../../record/batch-header.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import { handleOf } from "../partition-handle.ts";
import type { QueueDescription, QueuePartitionSummary, QueueSummary } from "../queue-api.ts";

/** Partitions of one queue whose oldest record is looked at. */
const LOOKUPS_MAX = 64;

export function* liveQueues(machine: Machine): Generator<FoundQueue> {
  for (const queue of machine.parts.queues.byName.values()) {
    const topic = machine.broker.topicsById.get(queue.topicId);
    if (topic !== undefined) yield { queue, topic };
  }
}

export async function summaryOf(
  { broker }: Machine,
  found: FoundQueue,
  nowMs: number,
): Promise<QueueSummary> {
  const { queue, topic } = found;
  const { acked, lost, purged, redriven } = queue;
  const partitions = partitionsOf(found);
  const unfinished = partitions.reduce((sum, each) => sum + each.unfinished, 0);
  const { inFlight, delayed } = atWork(found, nowMs);
  let newlyLost = 0;
  for (const { partition } of queue.partitions) {
    const its = topic.partitions[partition];
    const mine = queue.partitions[partition];
    if (its === undefined || mine === undefined || its.lowWatermark <= mine.low) continue;
    newlyLost += its.endOffset - mine.low - mine.done.size - mine.unfinished(its);
  }
  return {
    queue: queue.name,
    definition: queue.definition,
    redrive: queue.redrive,
    ready: Math.max(0, unfinished - inFlight - delayed),
    inFlight,
    delayed,
    dead: deadLetters(found, broker),
    acked,
    lost: lost + newlyLost,
    purged,
    redriven,
    oldestAgeMs: await oldestAge(found, partitions, nowMs),
  };
}

export const describe = async (
  machine: Machine,
  found: FoundQueue,
  nowMs: number,
): Promise<QueueDescription> => ({
  ...(await summaryOf(machine, found, nowMs)),
  partitions: partitionsOf(found),
  deadLetterOffsets: found.queue.redriveFrom.slice(),
});

function partitionsOf({ queue, topic }: FoundQueue): QueuePartitionSummary[] {
  return queue.partitions.flatMap((mine) => {
    const its = topic.partitions[mine.partition];
    if (its === undefined) return [];
    return {
      partition: mine.partition,
      lowOffset: Math.max(mine.low, its.lowWatermark),
      endOffset: its.endOffset,
      unfinished: mine.unfinished(its),
    };
  });
}

async function oldestAge(
  { topic }: FoundQueue,
  partitions: readonly QueuePartitionSummary[],
  nowMs: number,
): Promise<number> {
  let oldest = nowMs;
  let left = LOOKUPS_MAX;
  for (const { partition, lowOffset, unfinished } of partitions) {
    const its = topic.partitions[partition];
    if (unfinished === 0 || its === undefined || left-- <= 0) continue;
    try {
      const [slice] = await handleOf(its).log.read(lowOffset, 1, 1);
      if (slice !== undefined) oldest = Math.min(oldest, batchTimestamp(slice, 0));
    } catch (error) {
      if (!(error instanceof PartitionDamaged)) throw error;
    }
  }
  return Math.max(0, nowMs - oldest);
}
