import { feature as faultPoint } from "bun:bundle";
import { findPartition } from "../../broker/state.ts";
import type { Machine } from "../../machine/machine.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Rejected, Result } from "../api.ts";
import type { ForwardedCalls, MemberPlaces, Place, PlacesRequest } from "../forward/calls.ts";
import type { MemberPage, MemberReadReject, MemberRecords } from "../groups-api.ts";
import { handleOf } from "../partition-handle.ts";
import type { AppliedWaits } from "../reads/applied-waits.ts";
import type { Applied } from "./sessions.ts";

export type GivenRecordsOptions = {
  readonly machine: Machine;
  readonly calls: Pick<ForwardedCalls, "readMember">;
  readonly waits: AppliedWaits;
  readonly core: Applied;
  /** How long this node may take to apply the records of a page. */
  readonly timeoutMs: number;
};

/** Reads of members on a follower: the leader says which records, and this node reads them. */
export class GivenRecords {
  readonly #options: GivenRecordsOptions;

  constructor(options: GivenRecordsOptions) {
    this.#options = options;
  }

  readonly readMember = async (
    ...given: Parameters<ForwardedCalls["readMember"]>
  ): Promise<Result<MemberPage, MemberReadReject>> => {
    const page = await this.#ask(...given);
    if (!page.ok) return page;
    if (page.joinedIndex !== undefined) return { ...page, records: [] };
    const { waits, timeoutMs } = this.#options;
    const isThere = () => page.records.every((place) => this.#has(place));
    if (!(await waits.until(isThere, timeoutMs))) return LOST;
    const records: MemberRecords[] = [];
    for (const place of page.records) {
      const read = await this.#read(place);
      // The leader goes on behind these records, so a page without them would skip them.
      if (read === null) return LOST;
      records.push(read);
    }
    return { ...page, records };
  };

  /**
   * The leader does not take a read from a node that has not applied the last join of the member,
   * since links are late: the member may have given the read up before it joined. This node knows
   * whether its client still waits, applies the join and asks again.
   */
  async #ask(
    request: PlacesRequest,
    signal: AbortSignal,
  ): Promise<Result<MemberPlaces, MemberReadReject>> {
    const { calls, core, waits, timeoutMs } = this.#options;
    for (;;) {
      const { appliedIndex } = core;
      const page = await calls.readMember({ ...request, appliedIndex }, signal);
      const joined = page.ok ? page.joinedIndex : undefined;
      if (joined === undefined || signal.aborted) return page;
      if (!(await waits.until(() => core.appliedIndex >= joined, timeoutMs))) return page;
    }
  }

  #has({ topicId, partition, nextOffset }: Place): boolean {
    const state = findPartition(this.#options.machine.broker, topicId, partition);
    return state !== undefined && state.endOffset >= nextOffset;
  }

  /** @returns null if the records are damaged or deleted here, or a snapshot replaced their files. */
  async #read(place: Place): Promise<MemberRecords | null> {
    const { topicId, partition, startOffset, nextOffset } = place;
    const state = findPartition(this.#options.machine.broker, topicId, partition);
    if (state === undefined) return null;
    try {
      const count = nextOffset - startOffset;
      const { log } = handleOf(state);
      const read = log.read(startOffset, count, Number.MAX_SAFE_INTEGER);
      // The bytes are valid in this event-loop iteration only.
      const slices = (read instanceof Promise ? await read : read).map((slice) => slice.slice());
      const isLost = slices.length === 0 || log.deleted;
      return isLost && !faultPoint("member-pages-skip-lost-records") ? null : { ...place, slices };
    } catch (error) {
      if (error instanceof PartitionDamaged) return null;
      throw error;
    }
  }
}

const LOST: Rejected<"commit_timeout"> = {
  ok: false,
  code: "commit_timeout",
  message:
    "The leader has given out records that this node could not read in time; join again to get them once more",
};
