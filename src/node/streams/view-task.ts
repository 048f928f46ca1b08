import type { PartitionState, TopicState } from "../../broker/state.ts";
import { ByteReader, ByteWriter, DecodeError } from "../../lib/bytes.ts";
import { VIEW_STATE_BYTES_MAX, type ViewRecord } from "../../machine/views.ts";
import { type QueryRequest, VIEW_GROUPS_MAX } from "../../stream/query-request.ts";
import type { StreamLimits } from "../../stream/record-feed.ts";
import { jsonListSteps } from "../../stream/steps.ts";
import { ViewState } from "../../stream/view.ts";
import type { Slicer } from "../slicer.ts";
import type { ViewAnswer } from "../stream-api.ts";
import { asItIs } from "./answer-rows.ts";
import { feedPage, type RecordSink } from "./record-feeder.ts";

const LIMITS: StreamLimits = {
  groupsMax: VIEW_GROUPS_MAX,
  memoryBytesMax: 32 * 1024 * 1024,
  // The size of a saved group is estimated, so a tenth remains as a margin.
  savedBytesMax: VIEW_STATE_BYTES_MAX * 0.9,
};
const SAVED_VERSION = 1;

/** A view on this node: its state and the work that updates it. */
export class ViewTask {
  /** The record in the log. Only its saved state changes. */
  record: ViewRecord;
  readonly request: QueryRequest;
  readonly #slicer: Slicer;
  #state: ViewState;
  /** Id of the topic of the state. 0 before the first record. A new topic has a new id. */
  #topicId = 0;
  /** Number of records that were deleted before the view read them. */
  #skipped = 0;
  /** The saved state that this task has last checked. */
  #lookedAt: Uint8Array | null = null;
  /** Number of records and other changes since the last save. */
  changes = 0;
  savedUs: number;
  savedBytes = 0;
  isSaving = false;
  /** Monotonic time of the next attempt after a failure. */
  restUntilUs = 0;
  #lock: Promise<unknown> = Promise.resolve();

  constructor(record: ViewRecord, request: QueryRequest, slicer: Slicer, nowUs: number) {
    this.record = record;
    this.request = request;
    this.#slicer = slicer;
    this.#state = new ViewState(request, LIMITS);
    this.savedUs = nowUs;
  }

  /** How full the view is (1: full), and how many groups were evicted. */
  get room(): { readonly fill: number; readonly evictedGroups: number } {
    return { fill: this.#state.fill, evictedGroups: this.#state.agedOut.evicted };
  }

  /** Number of retained records that are not in the view yet. */
  lag(topic: TopicState | undefined): number {
    if (topic === undefined) return 0;
    let lag = 0;
    for (const partition of this.#partitionsOf(topic)) {
      const next =
        topic.topicId === this.#topicId ? this.#state.nextOffset(partition.partition) : 0;
      const start = Math.max(next, partition.lowWatermark, this.request.source.offset ?? 0);
      lag += Math.max(0, partition.endOffset - start);
    }
    return lag;
  }

  hasWork(topic: TopicState | undefined): boolean {
    if (topic === undefined) return false;
    if (this.#needsStart(topic)) return true;
    // Also if all records that it lacks were deleted: they count as skipped.
    return this.#partitionsOf(topic).some(
      ({ partition, endOffset }) => this.#state.nextOffset(partition) < endOffset,
    );
  }

  /** True if the saved state is loaded, so that the view can be read. */
  isStarted(topic: TopicState | undefined): boolean {
    return topic === undefined || !this.#needsStart(topic);
  }

  /** Reads a page of every partition. Must be called again while there is work. */
  advance(topic: TopicState): Promise<void> {
    return this.#alone(async () => {
      await this.#slicer.turn();
      if (this.#needsStart(topic)) await this.#start(topic);
      for (const partition of this.#partitionsOf(topic)) {
        await this.#feed(partition);
      }
    });
  }

  /** Encodes state and positions. Null if they are too large and nothing can be evicted. */
  snapshot(): Promise<{ bytes: Uint8Array; changes: number } | null> {
    return this.#alone(async () => {
      await this.#slicer.turn();
      const { changes } = this;
      for (;;) {
        const state = await this.#slicer.run(this.#state.snapshotSteps());
        const out = new ByteWriter(state.length + 32);
        out.u8(SAVED_VERSION);
        out.varint(this.#topicId);
        out.varint(this.#skipped);
        out.raw(state);
        if (out.length <= VIEW_STATE_BYTES_MAX) return { bytes: out.take(), changes };
        // Numbers became longer than the estimate for a group.
        if (!this.#state.shrink((0.9 * VIEW_STATE_BYTES_MAX) / out.length)) return null;
      }
    });
  }

  answer(topic: () => TopicState | undefined): Promise<ViewAnswer> {
    return this.#alone(async () => {
      await this.#slicer.turn();
      const result = await this.#slicer.run(this.#state.resultSteps());
      const { aggregates: rows, partitions, agedOut, ...counts } = result;
      const { evicted, fromMs, isCut, late, overflow } = { ...agedOut };
      // The lag belongs to these aggregates, so it is read synchronously.
      const lag = this.lag(topic());
      const aggregates = await this.#slicer.run(jsonListSteps(rows, asItIs));
      return {
        ...counts,
        view: this.record.name,
        topic: this.request.source.topic,
        aggregates,
        partitions,
        skipped: this.#skipped,
        evictedGroups: evicted,
        retainedFromMs: fromMs,
        late,
        overflow,
        truncated: isCut || overflow > 0,
        lag,
      };
    });
  }

  #needsStart(topic: TopicState): boolean {
    return this.#topicId !== topic.topicId;
  }

  /** Starts from the saved state if it belongs to this topic, otherwise from the first record. */
  async #start(topic: TopicState): Promise<void> {
    this.#state = new ViewState(this.request, LIMITS);
    this.#skipped = 0;
    this.#topicId = topic.topicId;
    await this.#adopt(() => true);
    for (const partition of this.#partitionsOf(topic)) {
      const number = partition.partition;
      if (this.#state.knows(number)) continue;
      this.#state.skipTo(number, Math.max(this.request.source.offset ?? 0, partition.lowWatermark));
      this.changes++;
    }
  }

  async #feed(partition: PartitionState): Promise<void> {
    const number = partition.partition;
    if (this.#state.nextOffset(number) < partition.lowWatermark) {
      // The node that saved the state may have read them in time.
      await this.#adopt((saved) => saved.nextOffset(number) > this.#state.nextOffset(number));
    }
    const sink: RecordSink = {
      nextOffset: () => this.#state.nextOffset(number),
      remaining: () => Number.MAX_SAFE_INTEGER,
      skipTo: (offset) => {
        this.#skipped += offset - this.#state.nextOffset(number);
        this.#state.skipTo(number, offset);
        this.changes++;
      },
      feed: (cursor, end, budget) => {
        const before = this.#state.nextOffset(number);
        const outcome = this.#state.feed(number, cursor, end, budget);
        this.changes += this.#state.nextOffset(number) - before;
        return outcome;
      },
    };
    await feedPage(this.#slicer, partition, sink, partition.endOffset);
  }

  /** Loads the saved state unless it is damaged, of another topic, or not ahead of this one. */
  async #adopt(isBetter: (saved: ViewState) => boolean): Promise<void> {
    const bytes = this.record.state;
    if (bytes === null || bytes === this.#lookedAt) return;
    this.#lookedAt = bytes;
    const saved = readSaved(bytes);
    if (saved === null || saved.topicId !== this.#topicId) return;
    const state = new ViewState(this.request, LIMITS);
    if (!(await this.#slicer.run(state.restoreSteps(saved.state))) || !isBetter(state)) return;
    this.#state = state;
    this.#skipped = saved.skipped;
    this.savedBytes = bytes.length;
    this.changes = 0;
  }

  #partitionsOf(topic: TopicState): readonly PartitionState[] {
    const { partition } = this.request.source;
    if (partition === null) return topic.partitions;
    const only = topic.partitions[partition];
    return only === undefined ? [] : [only];
  }

  /** Runs one task at a time, so that the state does not change during a longer one. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lock.then(work);
    this.#lock = done.catch(() => undefined);
    return done;
  }
}

type Saved = { readonly topicId: number; readonly skipped: number; readonly state: Uint8Array };

function readSaved(bytes: Uint8Array): Saved | null {
  try {
    const reader = new ByteReader(bytes);
    if (reader.u8() !== SAVED_VERSION) return null;
    const topicId = reader.varint();
    const skipped = reader.varint();
    return { topicId, skipped, state: reader.raw(reader.remaining) };
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}
