import { feature as faultPoint } from "bun:bundle";
import { tokenOf } from "../../durable/offset-token.ts";
import { type Piece, partitionOf, piecesOf, tailOf } from "../../durable/records.ts";
import type { StreamState } from "../../durable/state.ts";
import type { Clock } from "../../env/clock.ts";
import type { Millis } from "../../lib/ids.ts";
import { isJsonType } from "../../lib/media-type.ts";
import type { Machine } from "../../machine/machine.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Rejected, Result } from "../api.ts";
import type {
  ReadStreamRequest,
  StreamInfo,
  StreamPage,
  StreamReadReject,
  StreamWait,
} from "../durable-api.ts";
import { handleOf } from "../partition-handle.ts";
import type { Linearizer } from "../reads/linearizer.ts";
import type { ReadTime } from "../writes/kv-access.ts";
import { findOffset, findStream } from "./find-stream.ts";
import type { Touches } from "./touches.ts";
import { ValueWriter } from "./values.ts";

/** Limit of the records of one page. */
const PAGE_RECORDS = 50_000;
/** Limit of the records that one look into a partition takes. */
const LOOK_RECORDS = 1_000;
/** A use is recorded if it prolongs the life of the stream by at least this part of it. */
const TOUCH_FRACTION = 0.1;
const TOUCH_MIN_MS = 200;

export type StreamReaderOptions = {
  readonly machine: Machine;
  /** The cluster time. */
  readonly clock: Clock;
  readonly reads: ReadTime;
  readonly linearizer: Pick<Linearizer, "confirm">;
  readonly replica: { readonly isLeader: boolean };
  readonly touches: Touches;
};

type Place = { readonly ok: true; readonly stream: StreamState; readonly from: number };
type Reject = Rejected<StreamReadReject>;

/**
 * Reads streams from the applied state of this node. The end of a stream, and that it does not exist,
 * is only said once this node has applied everything that was committed when the request came.
 */
export class StreamReader {
  readonly #options: StreamReaderOptions;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
  }

  async describe(path: string): Promise<Result<StreamInfo, StreamReadReject>> {
    const outcome = faultPoint("stream-end-of-this-node")
      ? "ok"
      : await this.#options.linearizer.confirm();
    if (outcome !== "ok") return { ok: false, code: outcome };
    const found = findStream(this.#options.machine, path, this.#now());
    if (!found.ok) return found;
    const { streamId, config, closed } = found.stream;
    const { contentType, ttlSeconds, expiresAt } = config;
    const nextOffset = tokenOf(streamId, this.#tailOf(found.stream));
    const expires = expiresAt?.text ?? null;
    return { ok: true, streamId, contentType, nextOffset, closed, ttlSeconds, expiresAt: expires };
  }

  async read(request: ReadStreamRequest): Promise<Result<StreamPage, StreamReadReject>> {
    const isKnown = request.streamId !== null || this.#isFar(this.#find(request));
    const rejected = isKnown ? null : await this.#confirm();
    return rejected ?? (await this.#readNow(request));
  }

  async #readNow(request: ReadStreamRequest): Promise<Result<StreamPage, StreamReadReject>> {
    for (;;) {
      const place = this.#find(request);
      if (!place.ok) return place;
      const touchDue = this.#isTouchDue(place.stream);
      if (touchDue && this.#options.replica.isLeader) {
        const rejected = await this.#options.touches.touch(place.stream.streamId);
        if (rejected !== null) return rejected;
        continue;
      }
      const page = await this.#page(place, request.maxBytes, touchDue);
      if (page !== null) return page;
    }
  }

  /** True if a page from here does not reach the end, so that the end does not have to be known. */
  #isFar(place: Place | Reject): boolean {
    return place.ok && this.#tailOf(place.stream) - place.from > PAGE_RECORDS;
  }

  /** Waits until everything is applied here that was committed before the call. */
  async #confirm(): Promise<Rejected<"no_leader" | "no_quorum"> | null> {
    const outcome = await this.#options.linearizer.confirm();
    return outcome === "ok" ? null : { ok: false, code: outcome };
  }

  async wait({ streamId, offset, timeoutMs, signal }: StreamWait): Promise<void> {
    const { machine } = this.#options;
    const stream = machine.parts.durable.byId.get(streamId);
    if (stream === undefined || stream.deleted || stream.closed) return;
    if (this.#tailOf(stream) > offset) return;
    const { waits } = handleOf(partitionOf(machine.broker, stream));
    await waits.wait(offset - stream.config.base, timeoutMs, signal);
  }

  #find({ path, offset, streamId }: ReadStreamRequest): Place | Reject {
    const found = findStream(this.#options.machine, path, this.#now());
    if (!found.ok) return found;
    const { stream } = found;
    if (streamId !== null && stream.streamId !== streamId) {
      return { ok: false, code: "stream_not_found" };
    }
    const position = findOffset(this.#options.machine, stream, offset);
    return position.ok ? { ok: true, stream, from: position.offset } : position;
  }

  /** @returns null if the files were replaced during the read: the caller looks again. */
  async #page(
    { stream, from }: Place,
    maxBytes: number,
    touchDue: boolean,
  ): Promise<Result<StreamPage, StreamReadReject> | null> {
    const { streamId, config } = stream;
    const { contentType, ttlSeconds } = config;
    // The page ends at the present end: later records are not in it.
    const tail = this.#tailOf(stream);
    const { closed } = stream;
    const values = new ValueWriter(isJsonType(contentType), maxBytes);
    const next = await this.#fill(values, stream, from, tail);
    if (typeof next !== "number") return next;
    const upToDate = next === tail;
    return {
      ok: true,
      streamId,
      contentType,
      startOffset: tokenOf(streamId, from),
      nextOffset: tokenOf(streamId, next),
      next,
      body: values.finish(),
      count: values.count,
      upToDate,
      closed: upToDate && closed,
      ttlSeconds,
      touchDue,
    };
  }

  /** @returns the offset after the last record that fits; null if the files were replaced. */
  async #fill(
    values: ValueWriter,
    stream: StreamState,
    from: number,
    tail: number,
  ): Promise<number | null | Rejected<"data_damaged">> {
    const { machine } = this.#options;
    const end = Math.min(tail, from + PAGE_RECORDS);
    let next = from;
    for (const piece of piecesOf(machine.parts.durable, stream, from, end)) {
      const partition = machine.broker.topicsById.get(piece.streamId)?.partitions[0];
      if (partition === undefined) return null;
      const reached = await fillFrom(values, handleOf(partition).log, piece);
      if (typeof reached !== "number") return reached;
      next = piece.base + reached;
      if (reached < piece.to) break;
    }
    return next;
  }

  #isTouchDue({ config, touchedAt }: StreamState): boolean {
    if (config.ttlSeconds === null) return false;
    const leastMs = Math.max(TOUCH_MIN_MS, config.ttlSeconds * 1000 * TOUCH_FRACTION);
    return this.#now() - touchedAt >= leastMs;
  }

  #tailOf(stream: StreamState): number {
    return tailOf(this.#options.machine.broker, stream);
  }

  #now(): Millis {
    const { machine, clock, reads } = this.#options;
    return reads.now(machine.now, clock);
  }
}

type Log = ReturnType<typeof handleOf>["log"];

/** @returns the offset of the first record of the piece that does not fit, or its end. */
async function fillFrom(
  values: ValueWriter,
  log: Log,
  piece: Piece,
): Promise<number | null | Rejected<"data_damaged">> {
  let at = piece.from;
  while (at < piece.to) {
    const slices = await readSlices(log, at, Math.max(values.room, 1));
    if (slices === null) return { ok: false, code: "data_damaged" };
    if (log.deleted) return null;
    const reached = values.addFrom(slices, at, piece.to);
    if (reached === at || values.room <= 0) return reached;
    at = reached;
  }
  return at;
}

/** @returns null if the records are damaged and no peer has restored them in time. */
async function readSlices(
  log: Log,
  from: number,
  maxBytes: number,
): Promise<readonly Uint8Array[] | null> {
  try {
    return await log.read(from, LOOK_RECORDS, maxBytes);
  } catch (error) {
    if (error instanceof PartitionDamaged) return null;
    throw error;
  }
}
