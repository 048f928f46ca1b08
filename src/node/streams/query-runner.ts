import { committedOffset } from "../../broker/groups.ts";
import type { PartitionState } from "../../broker/state.ts";
import type { Machine } from "../../machine/machine.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { DecoderCache } from "../../stream/codecs/decoder-cache.ts";
import { JoinRun } from "../../stream/join.ts";
import { type JoinRequest, parseJoinRequest } from "../../stream/join-request.ts";
import type { JoinRules } from "../../stream/join-rules.ts";
import { QueryRun } from "../../stream/query.ts";
import { parseQueryRequest, type QueryRequest } from "../../stream/query-request.ts";
import type { StreamRejection } from "../../stream/record-feed.ts";
import { LIMIT_MAX, type Source } from "../../stream/source-request.ts";
import { jsonListSteps } from "../../stream/steps.ts";
import type { Rejected, Result } from "../api.ts";
import { beyondEnd, type Found, findAfterCatchUp } from "../reads/find-partition.ts";
import type { CannotCatchUp, Linearizer } from "../reads/linearizer.ts";
import type { Slicer } from "../slicer.ts";
import type {
  JoinAnswer,
  JoinApiRequest,
  QueryAnswer,
  QueryReject,
  StreamRequest,
} from "../stream-api.ts";
import { asItIs, joinRow } from "./answer-rows.ts";
import { readStreamBody } from "./body.ts";
import { type FeedOutcome, feedPage, type RecordSink } from "./record-feeder.ts";
import { RunSlots } from "./run-slots.ts";

/** Maximum number of running queries. Each uses up to 64 MiB. */
const RUNNING_MAX = 4;
const WAITING_MAX = 16;
/** Maximum number of running aggregates over whole partitions. They may take minutes. */
const SCANS_MAX = 2;
/** Units of work between two looks at the clock. */
const JOIN_BUDGET = 256;

type Answer<T> = Result<T, QueryReject>;

/** Runs queries and joins over the applied records of this node, in slices. */
export class QueryRunner {
  readonly #machine: Machine;
  readonly #linearizer: Pick<Linearizer, "catchUp">;
  readonly #slicer: Slicer;
  readonly #decoders: DecoderCache;
  readonly slots = new RunSlots(RUNNING_MAX, WAITING_MAX);
  readonly #scans = new RunSlots(SCANS_MAX, WAITING_MAX);

  constructor(
    machine: Machine,
    linearizer: Pick<Linearizer, "catchUp">,
    slicer: Slicer,
    decoders: DecoderCache,
  ) {
    this.#machine = machine;
    this.#linearizer = linearizer;
    this.#slicer = slicer;
    this.#decoders = decoders;
  }

  async query({ body, signal }: StreamRequest): Promise<Answer<QueryAnswer>> {
    const read = readStreamBody(body, (value) => parseQueryRequest(value, this.#decoders));
    if (!read.ok) return read;
    const run = () => this.inSlot(signal, () => this.#query(read.request, signal));
    if (read.request.limit <= LIMIT_MAX) return await run();
    // These wait before they take a slot, so that short queries and views are not blocked.
    const outcome = await this.#scans.run(signal, run);
    if (outcome === "overloaded") return overloaded(SCANS_MAX, "aggregates over whole partitions");
    return outcome === "aborted" ? CANCELLED : outcome;
  }

  async join({ body, signal, rules }: JoinApiRequest): Promise<Answer<JoinAnswer>> {
    const read = readStreamBody(body, (value) => parseJoinRequest(value, this.#decoders));
    if (!read.ok) return read;
    return await this.inSlot(signal, () => this.#join(read.request, signal, rules));
  }

  /** Also used by other long responses, so that all of them share one bound. */
  async inSlot<T extends { readonly ok: boolean }>(
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T | Rejected<"overloaded" | "shutting_down">> {
    const outcome = await this.slots.run(signal, work);
    if (outcome === "overloaded") return overloaded(RUNNING_MAX, "queries");
    return outcome === "aborted" ? CANCELLED : outcome;
  }

  async #query(request: QueryRequest, signal: AbortSignal): Promise<Answer<QueryAnswer>> {
    const found = await this.#partitionOf(request.source, "source");
    if (!found.ok) return found;
    const { partition, startOffset } = found;
    const { endOffset } = partition;
    const run = new QueryRun(request, startOffset);
    const sink: RecordSink = {
      nextOffset: () => run.nextOffset,
      remaining: () => run.remaining,
      skipTo: (offset) => run.skipTo(offset),
      feed: (cursor, end, budget) => run.feed(cursor, end, budget),
    };
    const failed = await this.#readAll(partition, endOffset, sink, signal);
    if (failed !== null) return failed;
    if (run.rejection !== null) return tooLarge(run.rejection);
    return { ok: true, ...(await this.#queryAnswer(request.source, run, endOffset)) };
  }

  /** @param endOffset the end of the partition when the query arrived. */
  async #queryAnswer(
    { topic, group, partition }: Source,
    run: QueryRun,
    endOffset: number,
  ): Promise<QueryAnswer> {
    const result = await this.#slicer.run(run.resultSteps());
    const rows = await this.#slicer.run(jsonListSteps(result.rows, asItIs));
    const aggregates = await this.#slicer.run(jsonListSteps(result.aggregates, asItIs));
    const truncated = result.nextOffset < endOffset;
    return { ...result, topic, group, partition: partition ?? 0, rows, aggregates, truncated };
  }

  async #join(
    request: JoinRequest,
    signal: AbortSignal,
    rules: JoinRules,
  ): Promise<Answer<JoinAnswer>> {
    const left = await this.#partitionOf(request.left.source, "left");
    if (!left.ok) return left;
    const right = await this.#partitionOf(request.right.source, "right");
    if (!right.ok) return right;
    const run = new JoinRun(request, {
      leftOffset: left.startOffset,
      rightOffset: right.startOffset,
      rules,
    });
    const ends = { left: left.partition.endOffset, right: right.partition.endOffset };
    for (const [side, { partition }] of [
      ["left", left],
      ["right", right],
    ] as const) {
      const sink: RecordSink = {
        nextOffset: () => run.nextOffset(side),
        remaining: () => run.remaining(side),
        skipTo: (offset) => run.skipTo(side, offset),
        feed: (cursor, end, budget) => run.feed(side, cursor, end, budget),
      };
      const failed = await this.#readAll(partition, ends[side], sink, signal);
      if (failed !== null) return failed;
    }
    while (!run.step(JOIN_BUDGET)) {
      if (this.#slicer.isOver) await this.#slicer.turn();
      if (signal.aborted) return CANCELLED;
    }
    if (run.rejection !== null) return tooLarge(run.rejection);
    const { rows, nextOffsets, stats } = run.result(ends);
    const text = await this.#slicer.run(jsonListSteps(rows, joinRow));
    return { ok: true, rows: text, nextOffsets, stats };
  }

  /** Feeds the records before `endOffset`. @returns why it cannot continue. */
  async #readAll(
    partition: PartitionState,
    endOffset: number,
    sink: RecordSink,
    signal: AbortSignal,
  ): Promise<Rejected<QueryReject> | null> {
    let outcome: FeedOutcome | "damaged" = "page";
    await this.#slicer.turn();
    while (outcome === "page") {
      if (signal.aborted) return CANCELLED;
      outcome = await feedPage(this.#slicer, partition, sink, endOffset).catch(damagedOrThrow);
    }
    if (outcome === "damaged") return { ok: false, code: "data_damaged" };
    return outcome === "deleted" ? { ok: false, code: "topic_not_found" } : null;
  }

  /** Returns the partition and the start: as requested, else as committed, else the first record. */
  async #partitionOf(source: Source, field: string): Promise<Place | Rejected<QueryReject>> {
    const { topic, partition, group, offset } = source;
    const ref = { topic, partition: partition ?? 0 };
    const found = await findAfterCatchUp(this.#machine, ref, this.#linearizer);
    if (!found.ok) return inField(found, field, topic);
    if (offset !== null && offset > found.partition.endOffset) {
      const wrong = await beyondEnd(this.#machine, ref, offset, this.#linearizer);
      return wrong === null
        ? await this.#partitionOf(source, field)
        : { ...wrong, details: { ...detailsOf(wrong), field: `${field}.offset` } };
    }
    const committed = group === null ? null : committedOffset(found.partition, group);
    const startOffset = offset ?? committed ?? found.partition.lowWatermark;
    return { ok: true, partition: found.partition, startOffset } as const;
  }
}

const detailsOf = ({ details = {} }: Rejected) => details;

/** Rejects a topic or partition that does not exist, with the field that names it. */
function inField(
  found: Exclude<Found | CannotCatchUp, { readonly ok: true }>,
  field: string,
  topic: string,
): Rejected<QueryReject> {
  if (found.code === "topic_not_found") {
    const message = `No such topic: ${field}.topic is ${topic}`;
    return { ...found, message, details: { field: `${field}.topic` } };
  }
  if (found.code === "partition_not_found") {
    const message = `${found.message}; ${field}.topic is ${topic}`;
    return { ...found, message, details: { field: `${field}.partition` } };
  }
  return found;
}

type Place = {
  readonly ok: true;
  readonly partition: PartitionState;
  readonly startOffset: number;
};

/** Rejects a query over damaged records that no peer has restored in time. */
function damagedOrThrow(error: unknown): "damaged" {
  if (error instanceof PartitionDamaged) return "damaged";
  throw error;
}

const overloaded = (running: number, what: string): Rejected<"overloaded"> => ({
  ok: false,
  code: "overloaded",
  message: `${running} ${what} run and ${WAITING_MAX} wait, which is the limit`,
});

/** The client has disconnected, or the server stops. */
const CANCELLED = { ok: false, code: "shutting_down" } as const;

const tooLarge = ({ code, message }: StreamRejection): Rejected<"query_too_large"> => ({
  ok: false,
  code,
  message,
});
