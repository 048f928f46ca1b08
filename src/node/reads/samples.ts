import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import { largestPartitions } from "../../metrics/cardinality.ts";
import type { GroupSample, PartitionSample } from "../../metrics/sources.ts";
import { Slicer } from "../slicer.ts";
import { GroupLagReader } from "./group-lag.ts";
import { retainedBytes } from "./reader.ts";

/** Samples of the broker's state for a scrape. Many partitions and groups are read in slices. */
export class Samples {
  readonly #machine: Machine;
  readonly #slicer: Slicer;
  readonly #lags: GroupLagReader;

  /** @param time the cluster time, with which records are stamped. */
  constructor(machine: Machine, clock: Clock, time: Pick<Clock, "now">) {
    this.#machine = machine;
    this.#slicer = new Slicer(clock);
    this.#lags = new GroupLagReader(machine, time, this.#slicer);
  }

  /** Returns the largest partitions and the sum of all others. */
  async partitionSizes(): Promise<PartitionSample[]> {
    const largest = largestPartitions();
    await this.#slicer.turn();
    for (const { name: topic, partitions } of this.#machine.broker.userTopics.values()) {
      for (const each of partitions) {
        const { partition, lowWatermark, endOffset } = each;
        largest.add({ topic, partition, lowWatermark, endOffset, bytes: retainedBytes(each) });
        if (this.#slicer.isOver) await this.#slicer.turn();
      }
    }
    return largest.result();
  }

  /** Returns the groups with the largest lag and the sum of all others. */
  groupLags(): Promise<GroupSample[]> {
    return this.#lags.sample();
  }
}
