import type { PartitionState, TopicState } from "../../broker/state.ts";
import { ByteReader, ByteWriter, DecodeError } from "../../lib/bytes.ts";
import { VIEW_STATE_BYTES_MAX, type ViewRecord } from "../../machine/views.ts";
import { toJson } from "../../stream/json-output.ts";
import { type QueryRequest, VIEW_GROUPS_MAX } from "../../stream/query-request.ts";
import type { StreamLimits } from "../../stream/record-feed.ts";
import { jsonListSteps } from "../../stream/steps.ts";
import { ViewState } from "../../stream/view.ts";
import type { Slicer } from "../slicer.ts";
import { feedPage, type RecordSink } from "./record-feeder.ts";

const LIMITS: StreamLimits = {
  groupsMax: VIEW_GROUPS_MAX,
  memoryBytesMax: 32 * 1024 * 1024,
  // What a group will take is estimated, so there is a tenth to spare.
  savedBytesMax: VIEW_STATE_BYTES_MAX * 0.9,
};
const SAVED_VERSION = 1;

/** One view on this node: its state, and the work of keeping it up to date. */
export class ViewTask {
  /** As the log has it; only what was saved changes. */
  record: ViewRecord;
  readonly request: QueryRequest;
  readonly #slicer: Slicer;
  #state: ViewState;
  /** Of the topic that the state is about; 0 before the first record. A new topic has a new id. */
  #topicId = 0;
  /** Records that were deleted before the view had read them. */
  #skipped = 0;
  /** What was saved, as far as this task has looked at it. */
  #lookedAt: Uint8Array | null = null;
  /** Records and other changes since the last save. */
  changes = 0;
  savedUs: number;
  savedBytes = 0;
  isSaving = false;
  /** Monotonic; after a failure. */
  restUntilUs = 0;
  #lock: Promise<unknown> = Promise.resolve();

  constructor(record: ViewRecord, request: QueryRequest, slicer: Slicer, nowUs: number) {
    this.record = record;
    this.request = request;
    this.#slicer = slicer;
    this.#state = new ViewState(request, LIMITS);
    this.savedUs = nowUs;
  }

  /** How full the view is, 1 is full, and how many groups aged out of it. */
  get room(): { readonly fill: number; readonly evictedGroups: number } {
    return { fill: this.#state.fill, evictedGroups: this.#state.agedOut.evicted };
  }

  /** Records that are kept and not in the view yet. */
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
    // Also where all that it lacks is deleted: that counts as skipped.
    return this.#partitionsOf(topic).some(
      ({ partition, endOffset }) => this.#state.nextOffset(partition) < endOffset,
    );
  }

  /** Whether the state is ready to be shown: what was saved is loaded. */
  isStarted(topic: TopicState | undefined): boolean {
    return topic === undefined || !this.#needsStart(topic);
  }

  /** A page of every partition; to be called again while there is work. */
  advance(topic: TopicState): Promise<void> {
    return this.#alone(async () => {
      await this.#slicer.turn();
      if (this.#needsStart(topic)) await this.#start(topic);
      for (const partition of this.#partitionsOf(topic)) {
        await this.#feed(partition);
      }
    });
  }

  /** The state with its positions, to be saved; null if it is too large and nothing can go. */
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
        // Numbers have grown longer than a group is estimated with.
        if (!this.#state.shrink((0.9 * VIEW_STATE_BYTES_MAX) / out.length)) return null;
      }
    });
  }

  /** The body of `GET /broker/views/{name}`. */
  json(topic: () => TopicState | undefined): Promise<string> {
    return this.#alone(async () => {
      await this.#slicer.turn();
      const result = await this.#slicer.run(this.#state.resultSteps());
      const { evicted, fromMs, isCut, late, overflow } = { ...result.agedOut };
      // The lag belongs to these aggregates, so it is taken before the turn ends.
      const lag = this.lag(topic());
      const aggregates = await this.#slicer.run(jsonListSteps(result.aggregates));
      const source = toJson({
        topic: this.request.source.topic,
        partitions: result.partitions.map(({ partition, nextOffset }) => ({
          partition,
          next_offset: nextOffset,
        })),
        consumed: result.consumed,
        undecodable: result.undecodable,
        untimed: result.untimed,
        out_of_range: result.outOfRange,
        skipped: this.#skipped,
        evicted_groups: evicted,
        retained_from_ms: fromMs,
        late,
        overflow,
      });
      const name = JSON.stringify(this.record.name);
      const truncated = isCut || overflow > 0;
      return `{"ok":true,"view":${name},"aggregates":${aggregates},"truncated":${truncated},"source":${source},"lag":${lag}}`;
    });
  }

  #needsStart(topic: TopicState): boolean {
    return this.#topicId !== topic.topicId;
  }

  /** From what was saved, if it is about this topic; else from the first record. */
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
      // Somebody who saved may have read them in time.
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

  /** Takes over what was saved, unless it is damaged, about another topic, or not better. */
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

  /** One at a time: what takes several turns must not see the state change. */
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
