import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import { largestPartitions } from "../../metrics/cardinality.ts";
import type { GroupSample, PartitionSample } from "../../metrics/sources.ts";
import { Slicer } from "../slicer.ts";
import { GroupLagReader } from "./group-lag.ts";
import { keptBytes } from "./reader.ts";

/** What a scrape asks of the broker's state. Many partitions and groups are walked in slices. */
export class Samples {
  readonly #machine: Machine;
  readonly #slicer: Slicer;
  readonly #lags: GroupLagReader;

  /** @param time is what records are stamped with. */
  constructor(machine: Machine, clock: Clock, time: Pick<Clock, "now">) {
    this.#machine = machine;
    this.#slicer = new Slicer(clock);
    this.#lags = new GroupLagReader(machine, time, this.#slicer);
  }

  /** The largest partitions and the sum of all others. */
  async partitionSizes(): Promise<PartitionSample[]> {
    const largest = largestPartitions();
    await this.#slicer.turn();
    for (const { name: topic, partitions } of this.#machine.broker.topicsById.values()) {
      for (const each of partitions) {
        const { partition, lowWatermark, endOffset } = each;
        largest.add({ topic, partition, lowWatermark, endOffset, bytes: keptBytes(each) });
        if (this.#slicer.isOver) await this.#slicer.turn();
      }
    }
    return largest.result();
  }

  /** Those that lag most and the sum of all others. */
  groupLags(): Promise<GroupSample[]> {
    return this.#lags.sample();
  }
}
