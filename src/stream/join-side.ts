import { escapeKey, textOf } from "./group-table.ts";
import type { JoinSideRequest } from "./join-request.ts";
import type { JoinRules } from "./join-rules.ts";
import { project } from "./project.ts";
import {
  type FeedState,
  feedRecords,
  type RecordSource,
  type StreamLimits,
} from "./record-feed.ts";
import { withRecordFields } from "./record-fields.ts";
import { identityOf, identityOfAll, memoryOf, type Value, valueAt } from "./value.ts";

export type JoinSideOptions = {
  readonly keysAs: JoinRules["keysAs"];
  readonly limits: StreamLimits;
};

const RECORD_BYTES = 100;

/**
 * The records of one side, in the order of their offsets. All lists have the same length; a
 * record is known by its index in them, and index order is offset order.
 */
export class JoinSide {
  readonly offsets: number[] = [];
  /** Null: no time in the field that the request names. */
  readonly times: (number | null)[] = [];
  /** Equal for equal keys. Null: a part of the key is missing or null, which matches nothing. */
  readonly keys: (string | null)[] = [];
  readonly keyTexts: (string | null)[] = [];
  /** Only the fields that rows need. */
  readonly values: Value[] = [];
  readonly #request: JoinSideRequest;
  readonly #options: JoinSideOptions;
  newestMs: number | null = null;
  untimed = 0;
  scanned = 0;
  undecodable = 0;
  bytes = 0;
  nextOffset: number;

  constructor(request: JoinSideRequest, startOffset: number, options: JoinSideOptions) {
    this.#request = request;
    this.#options = options;
    this.nextOffset = startOffset;
  }

  get length(): number {
    return this.offsets.length;
  }

  get remaining(): number {
    return this.#request.limit - this.scanned;
  }

  feed(cursor: RecordSource, endOffset: number, budget: number): FeedState {
    const range = { fromOffset: this.nextOffset, endOffset, limit: this.remaining, budget };
    const { state, taken, nextOffset } = feedRecords(cursor, range, (record) => {
      this.#take(record);
      return this.bytes <= this.#options.limits.memoryBytesMax ? "more" : "rejected";
    });
    this.nextOffset = nextOffset;
    this.scanned += taken;
    return state;
  }

  #take(record: RecordSource): void {
    const { source, keys, projection, timeOf } = this.#request;
    const value = source.decoder.decode(record.bytes, record.valueStart, record.valueEnd);
    if (value === undefined) {
      this.undecodable++;
      return;
    }
    const fields = this.#request.namesRecord ? withRecordFields(value, record) : value;
    const parts = keys.map((path) => valueAt(fields, path));
    const key = keyOf(parts, this.#options.keysAs);
    const time = timeOf(fields, record.timestampMs);
    const kept = projection === null ? value : project(fields, projection);
    this.offsets.push(record.offset);
    this.times.push(time);
    this.keys.push(key);
    this.keyTexts.push(key === null ? null : keyText(parts));
    this.values.push(kept);
    this.bytes += RECORD_BYTES + memoryOf(kept) + (key?.length ?? 0) * 4;
    if (time === null) this.untimed++;
    else this.newestMs = Math.max(this.newestMs ?? time, time);
  }
}

function keyOf(parts: readonly (Value | undefined)[], keysAs: JoinRules["keysAs"]): string | null {
  if (parts.some((part) => identityOf(part) === "n")) return null;
  if (keysAs === "text") return identityOfAll(parts.map(textOf));
  return parts.length === 1 ? identityOf(parts[0]) : identityOfAll(parts);
}

/** `7`, or `7|us` for a key of several fields; only there `\` escapes `\` and `|`. */
function keyText(parts: readonly (Value | undefined)[]): string {
  return parts.length === 1
    ? textOf(parts[0])
    : parts.map((part) => escapeKey(textOf(part))).join("|");
}
