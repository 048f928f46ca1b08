import type { GroupsApi } from "../../../src/node/api.ts";
import type { FakePartition } from "./fake-partition.ts";

const REFUSED = { ok: false, code: "no_quorum" } as const;

/** Groups of a node in memory: their committed offsets and their lag. It has no members. */
export class FakeGroups implements GroupsApi {
  readonly #topics: ReadonlyMap<string, readonly FakePartition[]>;

  constructor(topics: ReadonlyMap<string, readonly FakePartition[]>) {
    this.#topics = topics;
  }

  join = async () => REFUSED;
  read = async () => REFUSED;
  commit = async () => REFUSED;
  leave = async () => REFUSED;
  seek = async () => REFUSED;
  topicsOfMember = () => [];

  async describe(group: string) {
    const partitions = [...this.#topics.keys()].flatMap((topic) =>
      this.progressIn(topic)
        .filter((each) => each.group === group)
        .map(({ partition, committedOffset, lag }) => ({
          topic,
          partition,
          owner: null,
          next: null,
          generation: 0,
          committedOffset,
          lag,
          lagSeconds: lag === 0 ? 0 : null,
        })),
    );
    return partitions.length === 0 ? null : { members: [], partitions };
  }

  list() {
    return [...this.#topics].flatMap(([topic, partitions]) => {
      const progress = this.progressIn(topic);
      return [...new Set(progress.map(({ group }) => group))].map((group) => ({
        group,
        topic,
        partitions: partitions.length,
        members: 0,
        lag: progress.reduce((sum, each) => sum + (each.group === group ? each.lag : 0), 0),
      }));
    });
  }

  /** Every partition of the topic for each group that has committed in one of them. */
  progressIn(topic: string) {
    const partitions = this.#topics.get(topic) ?? [];
    const groups = [...new Set(partitions.flatMap(({ committed }) => [...committed.keys()]))];
    return groups.sort().flatMap((group) =>
      partitions.map(({ committed, endOffset, lowWatermark }, partition) => {
        const committedOffset = committed.get(group) ?? null;
        const lag = endOffset - Math.max(committedOffset ?? 0, lowWatermark);
        return { group, partition, committedOffset, lag };
      }),
    );
  }
}
