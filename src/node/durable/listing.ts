import { tokenOf } from "../../durable/offset-token.ts";
import { partitionOf, tailOf } from "../../durable/records.ts";
import { expiryOf, isExpired, type StreamState } from "../../durable/state.ts";
import type { Clock } from "../../env/clock.ts";
import { smallest } from "../../lib/smallest.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Result } from "../api.ts";
import type {
  ListStreamsRequest,
  StreamDetails,
  StreamList,
  StreamReadReject,
  StreamSummary,
} from "../durable-api.ts";
import type { Linearizer } from "../reads/linearizer.ts";
import type { ReadTime } from "../writes/kv-access.ts";

/** Producers of one stream that are listed. */
const PRODUCERS_LISTED_MAX = 1_000;

export type StreamListingOptions = {
  readonly machine: Machine;
  /** The cluster time. */
  readonly clock: Clock;
  readonly reads: ReadTime;
  readonly linearizer: Pick<Linearizer, "confirm">;
};

/** Describes streams to operators: lists of them, and one with its producers. */
export class StreamListing {
  readonly #options: StreamListingOptions;

  constructor(options: StreamListingOptions) {
    this.#options = options;
  }

  list({ prefix, after, limit }: ListStreamsRequest): StreamList {
    const { byPath } = this.#options.machine.parts.durable;
    const paths = firstPaths(byPath.keys(), { prefix, after, limit: limit + 1 });
    const listed = paths.slice(0, limit);
    const streams = listed.map((path) => this.#summaryOf(byPath.get(path) as StreamState));
    const next = paths.length > limit ? (listed.at(-1) ?? null) : null;
    return { streams, next, total: byPath.size };
  }

  async inspect(path: string): Promise<Result<StreamDetails, StreamReadReject>> {
    const { machine, linearizer, clock, reads } = this.#options;
    const outcome = await linearizer.confirm();
    if (outcome !== "ok") return { ok: false, code: outcome };
    const stream = machine.parts.durable.byPath.get(path);
    if (stream === undefined) return { ok: false, code: "stream_not_found" };
    const isOver = !stream.deleted && isExpired(stream, reads.now(machine.now, clock));
    if (isOver && stream.forks === 0) return { ok: false, code: "stream_not_found" };
    const { fork } = stream.config;
    const producers = [...stream.producers].map(([id, { epoch, seq, at }]) => ({
      id,
      epoch,
      seq,
      lastWriteMs: at,
    }));
    producers.sort((a, b) => b.lastWriteMs - a.lastWriteMs || (a.id < b.id ? -1 : 1));
    return {
      ok: true,
      ...this.#summaryOf(stream),
      deleted: stream.deleted || isOver,
      forkOffset: fork === null ? null : tokenOf(fork.streamId, fork.offset),
      forkSubOffset: fork?.sub ?? null,
      forks: stream.forks,
      lastSeq: stream.lastSeq,
      lastUseMs: stream.touchedAt,
      producers: producers.slice(0, PRODUCERS_LISTED_MAX),
      producersTotal: producers.length,
    };
  }

  #summaryOf(stream: StreamState): StreamSummary {
    const { broker } = this.#options.machine;
    const { config, streamId, closed, deleted } = stream;
    const { path, contentType, ttlSeconds, fork } = config;
    const partition = partitionOf(broker, stream);
    const expiresAt = expiryOf(stream);
    return {
      path,
      contentType,
      nextOffset: tokenOf(streamId, tailOf(broker, stream)),
      records: partition.endOffset,
      bytes: partition.bytesEnd,
      closed,
      deleted,
      forkedFrom: fork?.path ?? null,
      ttlSeconds,
      expiresAtMs: Number.isFinite(expiresAt) ? expiresAt : null,
    };
  }
}

/** Returns the first paths of a page, in order. */
export const firstPaths = (
  all: Iterable<string>,
  { prefix, after, limit }: ListStreamsRequest,
): readonly string[] => smallest(within(all, prefix, after), limit);

function* within(all: Iterable<string>, prefix: string, after: string): Generator<string> {
  for (const path of all) if (path > after && path.startsWith(prefix)) yield path;
}
