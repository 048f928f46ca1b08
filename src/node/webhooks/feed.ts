/** Which records of a partition a webhook delivers now: by its filter and its order. */
import { feature as faultPoint } from "bun:bundle";
import type { PartitionState } from "../../broker/state.ts";
import { utf8 } from "../../lib/bytes.ts";
import { NO_KEY, type QueuePartition } from "../../queue/state.ts";
import type { RecordSource } from "../../stream/record-feed.ts";
import type { RecordFilter } from "../../stream/record-filter.ts";
import { SKIPPED_MAX, type WebhookOrder } from "../../webhook/definition.ts";
import { type Budget, type Feed, KeyedFeed, type Taken } from "../queues/feed.ts";
import { hashOfKey, type QueueRecord } from "../queues/records.ts";

/** Records that are looked at before other work of the event loop goes on. */
const SCAN_MAX = 256;
/** Any number will do: all records of a partition have it. */
const ONE_KEY = 1;

/** The records that a filter has left out and that are not skipped in the log yet. */
export class Skipped {
  #offsets: number[] = [];
  /** True if records were looked at since it was set to false. */
  looked = false;

  get size(): number {
    return this.#offsets.length;
  }

  add(offset: number): void {
    this.#offsets.push(offset);
  }

  /** The command that leaves them out was refused. */
  giveBack(runs: readonly (readonly [first: number, length: number])[]): void {
    for (const [first, length] of runs) {
      for (let i = 0; i < length; i++) this.#offsets.push(first + i);
    }
  }

  /** Takes the first ones, as runs in ascending order. */
  take(): [first: number, length: number][] {
    const offsets = this.#offsets.splice(0, SKIPPED_MAX).sort((a, b) => a - b);
    const runs: [number, number][] = [];
    for (const offset of offsets) {
      const last = runs.at(-1);
      if (last !== undefined && last[0] + last[1] === offset) last[1]++;
      else runs.push([offset, 1]);
    }
    return runs;
  }
}

/** @param filter null: every record passes. */
export function webhookFeed(
  wanted: WebhookOrder,
  filter: RecordFilter | null,
  skipped: Skipped,
): Feed {
  const order = faultPoint("webhook-records-are-in-no-order") ? "none" : wanted;
  const feed = new KeyedFeed({
    keyOf: ({ key }) =>
      order === "key" ? hashOfKey(key) : order === "partition" ? ONE_KEY : NO_KEY,
    accepts: (record) => {
      skipped.looked = true;
      if (filter === null || filter(sourceOf(record))) return true;
      if (faultPoint("webhook-filters-are-ignored")) return true;
      skipped.add(record.offset);
      return false;
    },
    scanMax: SCAN_MAX,
  });
  return order === "partition" ? new OneByOne(feed) : feed;
}

/** Gives out a record of the partition when the one before is finished. */
class OneByOne implements Feed {
  readonly #feed: KeyedFeed;

  constructor(feed: KeyedFeed) {
    this.#feed = feed;
  }

  get reserved(): Set<number> {
    return this.#feed.reserved;
  }

  async take(mine: QueuePartition, its: PartitionState, budget: Budget): Promise<Taken[]> {
    if (this.reserved.size > 0) return [];
    // A record that retention has deleted does not count. The next command on the queue forgets it.
    for (const offset of mine.items.keys()) if (offset >= its.lowWatermark) return [];
    const one = { records: Math.min(1, budget.records), bytes: budget.bytes };
    const taken = await this.#feed.take(mine, its, one);
    budget.records -= taken.length;
    budget.bytes = one.bytes;
    return taken;
  }

  release(mine: QueuePartition, taken: Taken): void {
    this.#feed.release(mine, taken);
  }
}

const NO_BYTES = utf8("");

function sourceOf({ key, value, headers, offset, timestampMs }: QueueRecord): RecordSource {
  const bytes = Buffer.concat([key ?? NO_BYTES, value, headers]);
  const valueStart = key?.length ?? 0;
  const valueEnd = valueStart + value.length;
  return {
    next: () => false,
    ...{ offset, timestampMs, bytes, valueStart, valueEnd },
    keyStart: key === null ? -1 : 0,
    keyEnd: valueStart,
    headersStart: valueEnd,
    headersEnd: bytes.length,
  };
}
