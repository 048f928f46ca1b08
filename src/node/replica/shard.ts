import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import { DiskFull } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import type { Core } from "../../raft/core.ts";
import type { Entry, HardState, Message, Output, Persist, SnapshotMeta } from "../../raft/types.ts";
import type { HardStateFile } from "../../storage/hard-state.ts";
import type { Journal } from "../../storage/journal/journal.ts";
import type { Emit } from "../events.ts";

/** The parts that a shard calls and whose results it needs. Other reports are events. */
export type ShardParts = {
  /** Proposes waiting commands to the core as entries. Called whenever the journal is idle. */
  readonly queue: { propose(): void };
  /** Applies committed entries from position `start` on. @returns the position after the last. */
  readonly applier: { apply(entries: readonly Entry[], start: number): number };
  readonly snapshots: {
    /** The core has accepted the snapshot that was offered. */
    accepted(): void;
    /** Replaces machine, partition logs and journal with a snapshot from the leader. */
    install(snapshot: SnapshotMeta): Promise<void>;
    /** True if `finish` must be called before the next append. */
    readonly isUnfinished: boolean;
    /** Finishes an installation that an earlier process had no space for. */
    finish(): Promise<void>;
  };
  /** Called if the journal has no space. Resolves when the write should be retried. */
  readonly disk: { roomNeeded(): Promise<void> };
};

export type ShardOptions = {
  readonly core: Core;
  readonly journal: Journal;
  readonly hardState: HardStateFile;
  readonly clock: Clock;
  readonly tickMs: number;
  readonly electionTimeoutMs: number;
  readonly emit: Emit;
};

const PROGRESSED = { type: "progressed" } as const;

/**
 * The loop of one Raft group: it collects input, lets the core decide, and acts on its output. Input
 * that arrives during a sync is handled when the sync ends, so one write and one sync cover all of it
 * (group commit without a timer).
 */
export class Shard {
  readonly #core: Core;
  readonly #journal: Journal;
  readonly #hardState: HardStateFile;
  readonly #clock: Clock;
  readonly #emit: Emit;
  #parts: ShardParts | null = null;
  readonly #tickMs: number;
  #scheduled = false;
  #writing = false;
  #stopped = false;
  #installing = false;
  #cancelTick: (() => void) | null = null;
  readonly #unfitAfterUs: number;
  #tickedAt: number;
  #writingSince = 0;
  /** Writes that the core requested during another one, with the messages that depend on them. */
  #queue: { persist: Persist; after: readonly Message[] }[] = [];
  /** Committed entries that are not yet applied. `#applyFrom` is the position of the first. */
  #backlog: readonly Entry[] = [];
  #applyFrom = 0;
  #idle: (() => void)[] = [];

  constructor(options: ShardOptions) {
    const { core, journal, hardState, clock, tickMs, electionTimeoutMs, emit } = options;
    this.#core = core;
    this.#journal = journal;
    this.#hardState = hardState;
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#emit = emit;
    this.#unfitAfterUs = electionTimeoutMs * 1000;
    this.#tickedAt = clock.monotonic();
  }

  /** Must be called once, before every other method. */
  connect(parts: ShardParts): void {
    this.#parts = parts;
  }

  get #connected(): ShardParts {
    assert(this.#parts !== null, "a shard is connected before it is used");
    return this.#parts;
  }

  start(): void {
    this.#tickedAt = this.#clock.monotonic();
    this.#tickLater();
    this.wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTick?.();
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Called when commands wait or the core got input. Runs the loop soon. */
  wake(): void {
    if (this.#scheduled || this.#writing || this.#stopped) return;
    this.#scheduled = true;
    this.#clock.defer(this.#iterate);
  }

  /** Steps messages of one peer in order, and runs the loop once for all of them. */
  step(messages: readonly Message[]): void {
    if (this.#stopped) return;
    try {
      for (const message of messages) this.#core.step(message);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#iterate();
  }

  /** The same as `wake`, for work that does not need the disk: reads and committed entries. */
  deferIteration(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#clock.defer(this.#iterate);
  }

  /** Resolves when no write is in progress and no entry waits to be applied. */
  whenIdle(): Promise<void> {
    if (this.#stopped || this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  readonly #iterate = (): void => {
    this.#scheduled = false;
    if (this.#stopped) return;
    try {
      if (!this.#writing) this.#connected.queue.propose();
      this.#act(this.#core.drain());
      if (this.#isIdle()) for (const resolve of this.#idle.splice(0)) resolve();
    } catch (error) {
      this.#fail(error);
    }
  };

  #isIdle(): boolean {
    return !this.#writing && !this.#scheduled && this.#applyFrom >= this.#backlog.length;
  }

  /** Starts the disk first, so that it works while this thread applies and answers. */
  #act(output: Output): void {
    if (output.messages.length > 0) this.#emit({ type: "messages", messages: output.messages });
    if (output.persist !== null) {
      if (output.persist.snapshot !== null) this.#connected.snapshots.accepted();
      this.#queue.push({ persist: output.persist, after: output.messagesAfterPersist });
      if (!this.#writing) this.#write();
    }
    this.#report(output);
    if (output.committed.length > 0) this.#enqueue(output.committed);
    if (this.#applyFrom < this.#backlog.length && !this.#installing) this.#applySome();
    this.#emit(PROGRESSED);
    const { readStates: states, readsDropped: dropped } = output;
    if (states.length + dropped.length > 0) this.#emit({ type: "reads_decided", states, dropped });
  }

  #report({ roleChange, configuration, fetches, snapshotNeeded }: Output): void {
    if (roleChange !== null) this.#emit({ type: "role_changed", change: roleChange });
    if (configuration !== null) this.#emit({ type: "configuration_changed", configuration });
    if (fetches.length > 0) this.#emit({ type: "fetches", requests: fetches });
    for (const { index } of snapshotNeeded) this.#emit({ type: "snapshot_needed", index });
  }

  #enqueue(committed: readonly Entry[]): void {
    if (this.#applyFrom >= this.#backlog.length) {
      this.#backlog = committed;
      this.#applyFrom = 0;
    } else {
      this.#backlog = [...this.#backlog.slice(this.#applyFrom), ...committed];
      this.#applyFrom = 0;
    }
  }

  #applySome(): void {
    const next = this.#connected.applier.apply(this.#backlog, this.#applyFrom);
    const last = this.#backlog[next - 1];
    this.#applyFrom = next;
    if (last !== undefined) {
      this.#core.applied(last.index);
      this.#core.evict(last.index);
    }
    if (next < this.#backlog.length) this.deferIteration();
    else this.#backlog = [];
  }

  /** Runs one write and one sync for everything that the core has requested so far. */
  #write(): void {
    const work = this.#queue;
    this.#queue = [];
    this.#writing = true;
    const begin = this.#clock.monotonic();
    this.#writingSince = begin;
    const entries = work.length === 1 ? (work[0]?.persist.entries ?? []) : mergeEntries(work);
    this.#persist(work, entries).then(
      () => {
        this.#writing = false;
        if (this.#stopped) return;
        const seconds = (this.#clock.monotonic() - begin) / 1e6;
        this.#emit({ type: "synced", seconds, entries, merged: mergedWrites(work) });
        for (const { persist, after } of work) {
          this.#core.persisted(persist.token);
          if (after.length > 0) this.#emit({ type: "messages", messages: after });
        }
        this.#iterate();
        if (!this.#writing && this.#queue.length > 0) this.#write();
      },
      (error: unknown) => {
        const isGivenUp = this.#stopped && error instanceof DiskFull;
        if (!isGivenUp) this.#fail(error);
      },
    );
  }

  async #persist(work: readonly { persist: Persist }[], entries: readonly Entry[]): Promise<void> {
    const snapshot = work.findLast(({ persist }) => persist.snapshot !== null)?.persist.snapshot;
    if (snapshot !== undefined && snapshot !== null) await this.#install(snapshot);
    if (entries.length > 0) {
      const { snapshots } = this.#connected;
      if (snapshots.isUnfinished) await this.#untilRoom(() => snapshots.finish());
      await this.#untilRoom(() => this.#journal.append(entries));
    }
    let last: HardState | null = null;
    let commit = false;
    for (const { persist } of work) {
      last = persist.hardState ?? last;
      if (faultPoint("commit-mark-of-the-last-write-only")) commit = false;
      commit ||= persist.syncCommit;
    }
    // Does nothing unless term or vote changed, or the commit index must be durable.
    const hardState = last;
    if (hardState !== null && !faultPoint("vote-not-persisted")) {
      await this.#untilRoom(() => this.#hardState.save(hardState, { commit }));
    }
    if (this.#core.marker === null && this.#journal.marker !== null) {
      await this.#journal.releaseMarker();
    }
  }

  /** Repeats a write that failed for lack of space. Deletions that free space wait here too. */
  async #untilRoom(write: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await write();
        return;
      } catch (error) {
        if (!(error instanceof DiskFull)) throw error;
        await this.#connected.disk.roomNeeded();
        if (this.#stopped) throw error;
      }
    }
  }

  /** Installs a snapshot. Nothing is applied meanwhile, because the snapshot contains the backlog. */
  async #install(snapshot: SnapshotMeta): Promise<void> {
    this.#installing = true;
    this.#backlog = [];
    this.#applyFrom = 0;
    await this.#connected.snapshots.install(snapshot);
    this.#installing = false;
  }

  #tickLater(): void {
    this.#cancelTick = this.#clock.after(this.#tickMs, () => {
      if (this.#stopped) return;
      if (this.#isUnfit()) this.#core.stepDown();
      this.#core.tick();
      this.#iterate();
      this.#tickLater();
    });
  }

  /**
   * True if a leader should step down because its disk is stuck or its process was paused. A sole
   * voter never steps down.
   */
  #isUnfit(): boolean {
    const now = this.#clock.monotonic();
    const pausedUs = now - this.#tickedAt;
    const stuckUs = this.#writing ? now - this.#writingSince : 0;
    this.#tickedAt = now;
    if (this.#core.role !== "leader" || this.#core.configuration.voters.length < 2) return false;
    return Math.max(pausedUs, stuckUs) > this.#unfitAfterUs;
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.stop();
    this.#emit({ type: "failed", error });
  }
}

/** Number of writes with entries that share a sync with an earlier one. */
function mergedWrites(work: readonly { persist: Persist }[]): number {
  if (work.length === 1) return 0;
  return Math.max(0, work.filter(({ persist }) => persist.entries.length > 0).length - 1);
}

/** Merges writes. A later write replaces the suffix of an earlier one, as in the log. */
function mergeEntries(work: readonly { persist: Persist }[]): readonly Entry[] {
  let merged: Entry[] = [];
  for (const { persist } of work) {
    const first = persist.entries[0];
    if (persist.snapshot !== null) merged = [];
    if (first === undefined) continue;
    const overlaps = merged.length > 0 && (merged.at(-1) as Entry).index >= first.index;
    if (overlaps && !faultPoint("merged-write-keeps-what-was-overwritten")) {
      merged = merged.filter((entry) => entry.index < first.index);
    }
    if (faultPoint("merged-write-keeps-last")) merged = [];
    merged.push(...persist.entries);
  }
  return merged;
}
