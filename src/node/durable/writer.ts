import type { Records } from "../../broker/records.ts";
import { appendStream } from "../../durable/commands/append-stream.ts";
import { createStream, type ForkRequest } from "../../durable/commands/create-stream.ts";
import { removeStream } from "../../durable/commands/delete-stream.ts";
import { parseToken, tokenOf } from "../../durable/offset-token.ts";
import { mayWrite } from "../../durable/producers.ts";
import { NO_RECORDS, piecesOf, resolve, tailOf } from "../../durable/records.ts";
import type { StreamState } from "../../durable/state.ts";
import type { Clock } from "../../env/clock.ts";
import type { Millis } from "../../lib/ids.ts";
import { isJsonType, sameType } from "../../lib/media-type.ts";
import type { Machine } from "../../machine/machine.ts";
import { encodeRecord } from "../../record/batch-builder.ts";
import { RecordCursor } from "../../record/batch-reader.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Rejected, Result } from "../api.ts";
import type {
  AppendStreamReject,
  AppendStreamRequest,
  CreateStreamReject,
  CreateStreamRequest,
  DeleteStreamReject,
  RequestRecords,
  StreamAppended,
  StreamCreated,
} from "../durable-api.ts";
import { handleOf } from "../partition-handle.ts";
import type { Commander } from "../writes/commander.ts";
import type { ReadTime } from "../writes/kv-access.ts";
import { findStream } from "./find-stream.ts";

/** Limits of the leader. They protect memory, so all versions of the machine apply the same without them. */
export type DurableLimits = {
  readonly streamsMax: number;
  readonly producersMax: number;
  readonly forkDepthMax: number;
  readonly subscriptionsMax: number;
};
export const DEFAULT_DURABLE_LIMITS: DurableLimits = {
  streamsMax: 100_000,
  producersMax: 1_000,
  forkDepthMax: 32,
  subscriptionsMax: 1_000,
};

const SMALL_COMMAND_BYTES = 512;

export type StreamWriterOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly reads: ReadTime;
  readonly limits: DurableLimits;
};

type CreateRejected = Rejected<CreateStreamReject>;
type Fork = { readonly request: ForkRequest; readonly prefix: Uint8Array | null };

/** Proposes what changes streams. */
export class StreamWriter {
  readonly #options: StreamWriterOptions;

  constructor(options: StreamWriterOptions) {
    this.#options = options;
  }

  async create(request: CreateStreamRequest): Promise<Result<StreamCreated, CreateStreamReject>> {
    const { machine, commander } = this.#options;
    const refusal = await commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const isThere = machine.parts.durable.byPath.has(request.path);
    const { streamsMax } = this.#options.limits;
    if (!isThere && machine.parts.durable.byPath.size >= streamsMax) {
      return { ok: false, code: "too_many_streams", details: { streamsMax } };
    }
    const fork = request.fork === null ? null : await this.#prepare(request.fork, request.path);
    if (fork !== null && "ok" in fork) {
      const isMalformed = fork.code === "invalid_offset";
      return (isMalformed ? null : this.#conflictOf(request)) ?? fork;
    }
    const records = recordsOf(fork?.prefix ?? null, request.records);
    const { path, contentType, ttlSeconds, expiresAt, closed } = request;
    return await commander.run({
      kind: createStream,
      fields: {
        path,
        contentType,
        ttlSeconds,
        expiresAt,
        closed,
        fork: fork?.request ?? null,
        records,
      },
      bytes: SMALL_COMMAND_BYTES + records.batches.length,
      grows: true,
      done: (result) => ({
        ok: true,
        created: result.created,
        contentType: result.contentType,
        nextOffset: tokenOf(result.streamId, result.tail),
        closed: result.closed,
      }),
    });
  }

  append(request: AppendStreamRequest): Promise<Result<StreamAppended, AppendStreamReject>> {
    const { path, contentType, seq, producer, close } = request;
    const records = recordsOf(null, request.records);
    return this.#options.commander.run({
      kind: appendStream,
      fields: { path, contentType, seq, producer, close, records },
      bytes: SMALL_COMMAND_BYTES + records.batches.length,
      grows: records.count > 0,
      check: () => this.#checkProducer(request),
      done: ({ streamId, tail, closed, duplicate, producerSeq }) => ({
        ok: true,
        nextOffset: tokenOf(streamId, tail),
        closed,
        duplicate,
        producerSeq,
      }),
    });
  }

  delete(path: string): Promise<Result<object, DeleteStreamReject>> {
    return this.#options.commander.run({
      kind: removeStream,
      fields: { path },
      bytes: SMALL_COMMAND_BYTES,
      done: () => ({ ok: true }),
    });
  }

  /** A path that is taken, and another type, are reported before an offset that the source has not. */
  #conflictOf({ path, contentType, fork }: CreateStreamRequest): CreateRejected | null {
    const found = findStream(this.#options.machine, path, this.#now());
    if (found.ok) return { ok: false, code: "stream_exists" };
    if (found.code === "stream_gone") return { ok: false, code: "stream_has_forks" };
    const source = fork === null ? null : this.#find(fork.path);
    const isSame =
      source === null || contentType === "" || sameType(contentType, source.config.contentType);
    return isSame ? null : { ok: false, code: "content_type_mismatch" };
  }

  #checkProducer({ path, producer }: AppendStreamRequest): Rejected<"too_many_producers"> | null {
    if (producer === null) return null;
    const producers = this.#options.machine.parts.durable.byPath.get(path)?.producers;
    const { producersMax } = this.#options.limits;
    if (producers === undefined || mayWrite(producers, producer.id, this.#now(), producersMax)) {
      return null;
    }
    return { ok: false, code: "too_many_producers", details: { producersMax } };
  }

  /** Finds the source of a fork. A source that a follower knows may not be applied here yet. */
  async #prepare(
    fork: NonNullable<CreateStreamRequest["fork"]>,
    path: string,
  ): Promise<Fork | CreateRejected> {
    const first = await this.#prepareNow(fork, path);
    const isFound = !("ok" in first) && first.request.streamId !== 0;
    if (isFound || this.#find(path) !== null) return first;
    const outcome = await this.#options.commander.confirm();
    if (outcome !== "ok") return { ok: false, code: outcome };
    return await this.#prepareNow(fork, path);
  }

  async #prepareNow(
    fork: NonNullable<CreateStreamRequest["fork"]>,
    path: string,
  ): Promise<Fork | CreateRejected> {
    const position = fork.offset === null ? null : parseToken(fork.offset);
    if (fork.offset !== null && position === null) return { ok: false, code: "invalid_offset" };
    const source = this.#find(fork.path);
    const request = { path: fork.path, streamId: 0, offset: null, sub: fork.sub, hasPrefix: false };
    // The machine says what is wrong with the source, unless the fork exists already.
    if (source === null) return { request, prefix: null };
    const { forkDepthMax } = this.#options.limits;
    if (source.config.depth + 1 > forkDepthMax) {
      return { ok: false, code: "fork_too_deep", details: { forkDepthMax } };
    }
    const tail = tailOf(this.#options.machine.broker, source);
    const offset = position === null ? null : this.#resolve(source, position);
    if (position !== null && (offset === null || offset > tail)) {
      return { ok: false, code: "fork_offset_beyond_end", details: { endOffset: tail } };
    }
    const found = { ...request, streamId: source.streamId, offset };
    if (fork.sub === 0) return { request: found, prefix: null };
    return await this.#refine(found, source, offset ?? tail, path);
  }

  /** Resolves the sub-offset of a fork. */
  async #refine(
    request: ForkRequest,
    source: StreamState,
    offset: number,
    path: string,
  ): Promise<Fork | CreateRejected> {
    const left = tailOf(this.#options.machine.broker, source) - offset;
    const isJson = isJsonType(source.config.contentType);
    if (left <= 0 || (isJson && request.sub > left)) return SUB_OFFSET_BEYOND;
    // An existing fork is only compared with the request.
    if (isJson || this.#find(path) !== null) return { request, prefix: null };
    const prefix = await this.#prefix(source, offset, request.sub);
    if (!(prefix instanceof Uint8Array)) return prefix;
    return { request: { ...request, hasPrefix: true }, prefix };
  }

  #resolve(source: StreamState, position: { streamId: number; offset: number }): number | null {
    const { streamId, offset } = position;
    if (streamId === 0 && offset === 0) return 0;
    return resolve(this.#options.machine.parts.durable, source, streamId, offset);
  }

  /** Reads the first bytes of a record. Records never change, so this holds at apply too. */
  async #prefix(
    source: StreamState,
    offset: number,
    length: number,
  ): Promise<Uint8Array | CreateRejected> {
    const { machine } = this.#options;
    const [piece] = piecesOf(machine.parts.durable, source, offset, offset + 1);
    const partition = machine.broker.topicsById.get(piece?.streamId ?? 0)?.partitions[0];
    if (piece === undefined || partition === undefined) return SUB_OFFSET_BEYOND;
    try {
      const slices = await handleOf(partition).log.read(piece.from, 1, 1);
      const cursor = new RecordCursor(slices[0] ?? new Uint8Array(0));
      if (!cursor.seek(piece.from)) return { ok: false, code: "fork_source_changed" };
      const { bytes, valueStart, valueEnd } = cursor;
      if (length > valueEnd - valueStart) return SUB_OFFSET_BEYOND;
      return bytes.slice(valueStart, valueStart + length);
    } catch (error) {
      if (error instanceof PartitionDamaged) return { ok: false, code: "data_damaged" };
      throw error;
    }
  }

  #find(path: string): StreamState | null {
    const found = findStream(this.#options.machine, path, this.#now());
    return found.ok ? found.stream : null;
  }

  #now(): Millis {
    const { machine, clock, reads } = this.#options;
    return reads.now(machine.now, clock);
  }
}

const SUB_OFFSET_BEYOND: Rejected<"fork_sub_offset_beyond_end"> = {
  ok: false,
  code: "fork_sub_offset_beyond_end",
};

/** The beginning of the source's record comes first, in a batch of its own. */
function recordsOf(prefix: Uint8Array | null, records: RequestRecords | null): Records {
  if (prefix === null) {
    if (records === null) return NO_RECORDS;
    const { bytes, count, logicalBytes } = records;
    return { batches: bytes, count, logicalBytes };
  }
  const first = encodeRecord(null, prefix);
  if (records === null) return { batches: first.bytes, count: 1, logicalBytes: prefix.length };
  return {
    batches: new Uint8Array(Buffer.concat([first.bytes, records.bytes])),
    count: 1 + records.count,
    logicalBytes: prefix.length + records.logicalBytes,
  };
}
