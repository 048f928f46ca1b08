import type { PartitionState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import {
  firstUnread,
  groupsIn,
  lagIn,
  type Standing,
  standingsIn,
} from "../../groups/standings.ts";
import type { Machine } from "../../machine/machine.ts";
import { largestGroups } from "../../metrics/cardinality.ts";
import type { GroupSample } from "../../metrics/sources.ts";
import { batchTimestamp } from "../../record/batch-header.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import { handleOf } from "../partition-handle.ts";
import type { Slicer } from "../slicer.ts";

/** Number of record times that a scrape reads. Further groups show their lag in records only. */
const LOOKUPS_MAX = 1_000;

/** The lag of consumer groups, in records and in time. */
export class GroupLagReader {
  readonly #machine: Machine;
  readonly #clock: Pick<Clock, "now">;
  readonly #slicer: Slicer;
  /** Time of the first uncommitted record, by partition and offset, from the last scrape. */
  #known: Times = new Map();

  constructor(machine: Machine, clock: Pick<Clock, "now">, slicer: Slicer) {
    this.#machine = machine;
    this.#clock = clock;
    this.#slicer = slicer;
  }

  /** Returns the groups with the largest lag and the sum of all others. Works in slices. */
  async sample(): Promise<GroupSample[]> {
    const largest = await this.#largest();
    const lookups: Lookups = { known: this.#known, seen: new Map(), left: LOOKUPS_MAX };
    const samples: GroupSample[] = [];
    for (const { state, offset, ...sample } of largest) {
      samples.push({
        ...sample,
        lagSeconds: await this.#secondsOf(lookups, sample, state, offset),
      });
    }
    this.#known = lookups.seen;
    return samples;
  }

  /** Age of the first unread record of each standing; 0 without one, null if it is not known. */
  async secondsOf(standings: readonly Standing[]): Promise<readonly (number | null)[]> {
    const lookups: Lookups = { known: this.#known, seen: new Map(), left: LOOKUPS_MAX };
    const seconds: (number | null)[] = [];
    for (const { partition, committed } of standings) {
      const offset = firstUnread(partition, committed);
      if (offset >= partition.endOffset) seconds.push(0);
      else seconds.push(this.#ageOf(await timeOf(lookups, partition, offset)));
    }
    return seconds;
  }

  async #largest(): Promise<readonly Lagging[]> {
    const largest = largestGroups<Lagging>();
    await this.#slicer.turn();
    const { broker, parts } = this.#machine;
    for (const topic of broker.userTopics.values()) {
      for (const group of groupsIn(parts.groups, topic)) {
        for (const { partition: state, committed } of standingsIn(parts.groups, topic, group)) {
          const lagRecords = lagIn(state, committed);
          largest.add({
            topic: topic.name,
            group,
            partition: state.partition,
            lagRecords,
            lagSeconds: lagRecords === 0 ? 0 : null,
            state,
            offset: firstUnread(state, committed),
          });
          if (this.#slicer.isOver) await this.#slicer.turn();
        }
      }
    }
    return largest.result();
  }

  async #secondsOf(
    lookups: Lookups,
    { lagSeconds, partition }: GroupSample,
    state: PartitionState,
    offset: number,
  ): Promise<number | null> {
    // The sum of all others does not have a first record.
    if (lagSeconds !== null || partition !== state.partition) return lagSeconds;
    return this.#ageOf(await timeOf(lookups, state, offset));
  }

  #ageOf(timeMs: number | null): number | null {
    return timeMs === null ? null : Math.max(0, this.#clock.now() - timeMs) / 1000;
  }
}

type Lagging = GroupSample & { readonly state: PartitionState; readonly offset: number };

type Times = Map<PartitionState, Map<number, number>>;
type Lookups = { readonly known: Times; readonly seen: Times; left: number };

/** The batch that contains a record. Empty if the record is damaged or trimmed. */
async function firstAt(partition: PartitionState, offset: number): Promise<Uint8Array | undefined> {
  try {
    return (await handleOf(partition).log.read(offset, 1, 1))[0];
  } catch (error) {
    if (error instanceof PartitionDamaged) return undefined;
    throw error;
  }
}

/** Time of a record, from the last scrape or the log. Null after too many were read. */
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
