import type { PartitionState, TopicState } from "../broker/state.ts";
import type { Clock } from "../env/clock.ts";
import type { Machine } from "../machine/machine.ts";
import type { GroupSample } from "../metrics/sources.ts";
import { batchTimestamp } from "../record/batch-header.ts";
import { PartitionDamaged } from "../storage/partition-damaged.ts";
import { handleOf } from "./partition-handle.ts";

/** A scrape looks up the time of so many records; groups beyond that show their lag in records. */
const LOOKUPS_MAX = 1_000;

/** How far consumer groups are behind, in records and in time. */
export class GroupLagReader {
  readonly #machine: Machine;
  readonly #clock: Clock;
  /** Time of the first record that was not committed, by partition and offset, from the last scrape. */
  #known: Times = new Map();

  constructor(machine: Machine, clock: Clock) {
    this.#machine = machine;
    this.#clock = clock;
  }

  async sample(): Promise<GroupSample[]> {
    const samples: GroupSample[] = [];
    const lookups: Lookups = { known: this.#known, seen: new Map(), left: LOOKUPS_MAX };
    for (const [topic, state, group, committed] of this.#commits()) {
      const offset = Math.max(committed, state.lowWatermark);
      const lagRecords = state.endOffset - offset;
      const at = lagRecords === 0 ? this.#clock.now() : await timeOf(lookups, state, offset);
      const lagSeconds = at === null ? null : Math.max(0, this.#clock.now() - at) / 1000;
      const { partition } = state;
      samples.push({ topic: topic.name, group, partition, lagRecords, lagSeconds });
    }
    this.#known = lookups.seen;
    return samples;
  }

  *#commits(): Generator<[TopicState, PartitionState, string, number]> {
    for (const topic of [...this.#machine.broker.topicsById.values()]) {
      for (const partition of topic.partitions) {
        for (const [group, offset] of [...partition.committed]) {
          yield [topic, partition, group, offset];
        }
      }
    }
  }
}

type Times = Map<PartitionState, Map<number, number>>;
type Lookups = { readonly known: Times; readonly seen: Times; left: number };

/** The batch that holds a record; none if it is damaged or trimmed. */
async function firstAt(partition: PartitionState, offset: number): Promise<Uint8Array | undefined> {
  try {
    return (await handleOf(partition).log.read(offset, 1, 1))[0];
  } catch (error) {
    if (error instanceof PartitionDamaged) return undefined;
    throw error;
  }
}

/** Time of a record, from the last scrape or from the log; null once too many were looked up. */
async function timeOf(
  lookups: Lookups,
  partition: PartitionState,
  offset: number,
): Promise<number | null> {
  let at = lookups.known.get(partition)?.get(offset) ?? lookups.seen.get(partition)?.get(offset);
  if (at === undefined) {
    if (lookups.left-- <= 0) return null;
    const slice = await firstAt(partition, offset);
    if (slice === undefined) return null;
    at = batchTimestamp(slice, 0);
  }
  const byOffset = lookups.seen.get(partition) ?? new Map<number, number>();
  byOffset.set(offset, at);
  lookups.seen.set(partition, byOffset);
  return at;
}
