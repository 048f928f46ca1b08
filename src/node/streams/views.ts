import { findTopic, type TopicState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import { deleteView, putView, type ViewRecord } from "../../machine/views.ts";
import type { Logger } from "../../metrics/log.ts";
import type { ViewSample } from "../../metrics/sources.ts";
import type { DecoderCache } from "../../stream/codecs/decoder-cache.ts";
import { canonicalJson } from "../../stream/json-output.ts";
import { parseViewRequest, type QueryRequest } from "../../stream/query-request.ts";
import type { Result, WriteReject } from "../api.ts";
import { findPartition } from "../reads/find-partition.ts";
import type { Slicer } from "../slicer.ts";
import type { GetViewReject, PutViewReject, ViewAnswer, ViewSummary } from "../stream-api.ts";
import type { Commander } from "../writes/commander.ts";
import { readStreamBody } from "./body.ts";
import { ViewSaver } from "./view-saver.ts";
import { ViewTask } from "./view-task.ts";

/** Pause between two checks for new records, so that a burst of appends is one page. */
const REST_MS = 20;
/** A view that lacks more records than this does not pause. */
const BUSY_LAG = 10_000;
/** Interval between two checks whether unsaved views are due. */
const SAVE_LOOK_MS = 500;
/** Delay after a view failed, for example on damaged records. */
const RETRY_MS = 5_000;
/** Time that a reader waits for a view to catch up, and for a view to be loaded. */
const CATCH_UP_MS = 250;
const LOAD_MS = 5_000;
const LOOK_MS = 5;

export type ViewsOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly slicer: Slicer;
  readonly decoders: DecoderCache;
  readonly clock: Clock;
  readonly log: Logger;
  readonly isLeader: () => boolean;
  readonly fault: (error: unknown) => void;
};

/** Updates the views of this node in the background, from the records that it has applied. */
export class Views {
  readonly #options: ViewsOptions;
  readonly #tasks = new Map<string, ViewTask>();
  readonly #saver: ViewSaver;
  /** The view records of the tasks. Every change creates another object. */
  readonly #seen = new Map<string, ViewRecord>();
  #cancelTimer: (() => void) | null = null;
  #timerUs = 0;
  #running: Promise<void> | null = null;
  #stopping = false;

  constructor(options: ViewsOptions) {
    this.#options = options;
    this.#saver = new ViewSaver(options);
  }

  /** Called once per event-loop iteration after entries were applied, so it must be cheap. */
  applied(): void {
    if (this.#options.machine.views.byName.size === 0 && this.#tasks.size === 0) return;
    this.#later(REST_MS);
  }

  /** Saves changed views if this node leads. The node must still accept writes. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#cancelTimer?.();
    await this.#running;
    await this.#saver.saveAll([...this.#tasks.values()]);
  }

  async put(name: string, body: string): Promise<Result<{ created: boolean }, PutViewReject>> {
    const { commander, decoders, machine } = this.#options;
    const read = readStreamBody(body, (value) => {
      const parsed = parseViewRequest(value, decoders);
      return parsed.ok ? { ok: true, request: { query: canonicalJson(value), ...parsed } } : parsed;
    });
    if (!read.ok) return read;
    const { query, request } = read.request;
    const { topic, partition } = request.source;
    const refusal = await commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const found = findPartition(machine, { topic, partition: partition ?? 0 });
    if (!found.ok) return found;
    return await commander.run({
      kind: putView,
      fields: { name, query },
      bytes: query.length,
      grows: true,
      done: ({ created }) => ({ ok: true, created }),
    });
  }

  delete(name: string): Promise<Result<object, WriteReject | "view_not_found">> {
    return this.#options.commander.run({
      kind: deleteView,
      fields: { name },
      bytes: name.length,
      done: () => ({ ok: true }),
    });
  }

  async get(name: string, signal: AbortSignal): Promise<Result<ViewAnswer, GetViewReject>> {
    const task = this.#find(name);
    if (task === null) return { ok: false, code: "view_not_found" };
    await this.#catchUp(task, signal);
    if (signal.aborted) return { ok: false, code: "shutting_down" };
    if (!task.isStarted(this.#topicOf(task))) {
      return { ok: false, code: "overloaded", message: "The view is still being loaded" };
    }
    return { ok: true, ...(await task.answer(() => this.#topicOf(task))) };
  }

  list(): readonly ViewSummary[] {
    this.#reconcile();
    const views = [...this.#tasks].map(([view, task]) => {
      const { topic, partition } = task.request.source;
      return { view, topic, partition, lag: task.lag(this.#topicOf(task)) };
    });
    return views.sort((a, b) => (a.view < b.view ? -1 : 1));
  }

  topicOf(name: string): string | null {
    return this.#find(name)?.request.source.topic ?? null;
  }

  lags(): readonly ViewSample[] {
    this.#reconcile();
    return [...this.#tasks].map(([view, task]) => ({
      view,
      lagRecords: task.lag(this.#topicOf(task)),
      ...task.room,
    }));
  }

  #find(name: string): ViewTask | null {
    this.#reconcile();
    return this.#tasks.get(name) ?? null;
  }

  #topicOf(task: ViewTask): TopicState | undefined {
    return findTopic(this.#options.machine.broker, task.request.source.topic);
  }

  /** Resolves when the view has all current records or the time is over. */
  async #catchUp(task: ViewTask, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const begin = clock.monotonic();
    const isOpen = () => {
      const topic = this.#topicOf(task);
      if (!task.hasWork(topic)) return false;
      const limitMs = task.isStarted(topic) ? CATCH_UP_MS : LOAD_MS;
      return clock.monotonic() - begin < limitMs * 1000;
    };
    while (isOpen() && !signal.aborted && !this.#stopping) {
      this.#later(0);
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
    }
  }

  /** Sets the single timer to the task that is due first. */
  #later(delayMs: number): void {
    if (this.#stopping || this.#running !== null) return;
    const { clock } = this.#options;
    const dueUs = clock.monotonic() + delayMs * 1000;
    if (this.#cancelTimer !== null && this.#timerUs <= dueUs) return;
    this.#cancelTimer?.();
    this.#timerUs = dueUs;
    this.#cancelTimer = clock.after(delayMs, () => {
      this.#cancelTimer = null;
      this.#running = this.#run()
        .catch(this.#options.fault)
        .finally(() => {
          this.#running = null;
          this.#rest();
        });
    });
  }

  /** Called after a run. Schedules another one if work remains. */
  #rest(): void {
    for (const task of this.#tasks.values()) {
      if (this.#isDue(task)) this.#later(REST_MS);
    }
    if (this.#saver.isWaiting([...this.#tasks.values()])) this.#later(SAVE_LOOK_MS);
  }

  async #run(): Promise<void> {
    for (;;) {
      this.#reconcile();
      let busy = false;
      for (const task of this.#tasks.values()) {
        if (this.#stopping) return;
        if (this.#isDue(task)) await this.#advance(task);
        await this.#saver.maybeSave(task);
        busy ||= task.lag(this.#topicOf(task)) > BUSY_LAG && this.#isDue(task);
      }
      if (!busy) return;
    }
  }

  #isDue(task: ViewTask): boolean {
    return this.#options.clock.monotonic() >= task.restUntilUs && task.hasWork(this.#topicOf(task));
  }

  async #advance(task: ViewTask): Promise<void> {
    const topic = this.#topicOf(task);
    if (topic === undefined) return;
    try {
      await task.advance(topic);
    } catch (error) {
      // A request for these records fails the same way. The node continues.
      const { clock, log } = this.#options;
      log.error("view failed", { view: task.record.name, error: String(error) });
      task.restUntilUs = clock.monotonic() + RETRY_MS * 1000;
    }
  }

  /** Makes the tasks match the views in the log. */
  #reconcile(): void {
    const { byName } = this.#options.machine.views;
    for (const [name, task] of this.#tasks) {
      if (byName.get(name)?.viewId !== task.record.viewId) this.#tasks.delete(name);
    }
    for (const name of this.#seen.keys()) if (!byName.has(name)) this.#seen.delete(name);
    for (const [name, record] of byName) {
      if (this.#seen.get(name) === record) continue;
      this.#seen.set(name, record);
      const task = this.#tasks.get(name);
      if (task !== undefined) task.record = record;
      else this.#begin(record);
    }
  }

  #begin(record: ViewRecord): void {
    const { decoders, slicer, clock, log } = this.#options;
    const read = readStreamBody<QueryRequest>(record.query, (value) =>
      parseViewRequest(value, decoders),
    );
    if (!read.ok) {
      // A newer version wrote it.
      log.error("view cannot be restored", { view: record.name, why: read.message ?? read.code });
      return;
    }
    this.#tasks.set(record.name, new ViewTask(record, read.request, slicer, clock.monotonic()));
  }
}
