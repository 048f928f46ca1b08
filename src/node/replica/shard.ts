import type { Clock } from "../../env/clock.ts";
import { DiskFull } from "../../env/disk.ts";
import type { Core } from "../../raft/core.ts";
import type {
  Configuration,
  Entry,
  FetchRequest,
  HardState,
  LogIndex,
  Message,
  Output,
  Persist,
  ReadState,
  RoleChange,
  SnapshotMeta,
} from "../../raft/types.ts";
import type { HardStateFile } from "../../storage/hard-state.ts";
import type { Journal } from "../../storage/journal/journal.ts";

/** What a shard calls; the node composes it. */
export type ShardDuties = {
  /** Puts waiting commands into the core as entries; called whenever the journal is idle. */
  readonly propose: () => void;
  /** Applies committed entries, as many as fit a turn. @returns the last index applied. */
  readonly apply: (entries: readonly Entry[], start: number) => number;
  readonly send: (messages: readonly Message[]) => void;
  readonly roleChanged: (change: RoleChange) => void;
  readonly readStates: (states: readonly ReadState[], dropped: readonly unknown[]) => void;
  /** Somebody's disk has more than before, or membership changed. */
  readonly progressed: () => void;
  /** Payloads are wanted from the journal for a peer. */
  readonly fetch: (requests: readonly FetchRequest[]) => void;
  /** A peer needs a snapshot at or above this index, and there is none. */
  readonly snapshotNeeded: (index: LogIndex) => void;
  readonly configurationChanged: (configuration: Configuration) => void;
  /** The core has taken the snapshot that was offered. */
  readonly accepted: () => void;
  /** A snapshot from the leader takes the place of machine, partition logs and journal. */
  readonly install: (snapshot: SnapshotMeta) => Promise<void>;
  /** A write took this long, with so many entries, until it was on stable storage. */
  readonly synced: (seconds: number, entries: readonly Entry[]) => void;
  /** The journal found no room: resolves when it is worth another try. */
  readonly roomNeeded: () => Promise<void>;
  /** The disk failed or an invariant broke: the process must end. */
  readonly fault: (error: unknown) => void;
};

export type ShardOptions = {
  readonly core: Core;
  readonly journal: Journal;
  readonly hardState: HardStateFile;
  readonly clock: Clock;
  readonly tickMs: number;
  readonly electionTimeoutMs: number;
  readonly duties: ShardDuties;
};

/**
 * The loop of one Raft group: gathers what happened, lets the core decide, acts on its output.
 * It runs in turns: whatever arrives while a sync is under way is taken up when that ends, so one
 * write and one sync cover all of it (group commit without a timer).
 */
export class Shard {
  readonly #core: Core;
  readonly #journal: Journal;
  readonly #hardState: HardStateFile;
  readonly #clock: Clock;
  readonly #duties: ShardDuties;
  readonly #tickMs: number;
  #scheduled = false;
  #writing = false;
  #stopped = false;
  #installing = false;
  #cancelTick: (() => void) | null = null;
  readonly #unfitAfterUs: number;
  #tickedAt: number;
  #writingSince = 0;
  /** Writes that the core decided while another was under way, with what may leave after them. */
  #queue: { persist: Persist; after: readonly Message[] }[] = [];
  /** Committed and not yet applied; `#applyFrom` is the position of the first of them. */
  #backlog: readonly Entry[] = [];
  #applyFrom = 0;
  #idle: (() => void)[] = [];

  constructor(options: ShardOptions) {
    const { core, journal, hardState, clock, tickMs, electionTimeoutMs, duties } = options;
    this.#core = core;
    this.#journal = journal;
    this.#hardState = hardState;
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#duties = duties;
    this.#unfitAfterUs = electionTimeoutMs * 1000;
    this.#tickedAt = clock.monotonic();
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

  /** Something waits to be proposed or was stepped into the core: take a turn soon. */
  wake(): void {
    if (this.#scheduled || this.#writing || this.#stopped) return;
    this.#scheduled = true;
    this.#clock.soon(this.#turn);
  }

  /** Messages of one peer, as they came; one turn for all of them. */
  step(messages: readonly Message[]): void {
    if (this.#stopped) return;
    try {
      for (const message of messages) this.#core.step(message);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#turn();
  }

  /** As `wake`, for what does not wait for the disk: reads, what is committed already. */
  turnSoon(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#clock.soon(this.#turn);
  }

  /** Resolves when nothing is being written or waits to be applied. */
  whenIdle(): Promise<void> {
    if (this.#stopped || this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    if (this.#stopped) return;
    try {
      if (!this.#writing) this.#duties.propose();
      this.#act(this.#core.drain());
      if (this.#isIdle()) for (const resolve of this.#idle.splice(0)) resolve();
    } catch (error) {
      this.#fail(error);
    }
  };

  #isIdle(): boolean {
    return !this.#writing && !this.#scheduled && this.#applyFrom >= this.#backlog.length;
  }

  /** The disk first, so that it works while this thread applies and answers. */
  #act(output: Output): void {
    if (output.messages.length > 0) this.#duties.send(output.messages);
    if (output.persist !== null) {
      if (output.persist.snapshot !== null) this.#duties.accepted();
      this.#queue.push({ persist: output.persist, after: output.messagesAfterPersist });
      if (!this.#writing) this.#write();
    }
    if (output.roleChange !== null) this.#duties.roleChanged(output.roleChange);
    if (output.configuration !== null) this.#duties.configurationChanged(output.configuration);
    if (output.fetches.length > 0) this.#duties.fetch(output.fetches);
    for (const { index } of output.snapshotNeeded) this.#duties.snapshotNeeded(index);
    if (output.committed.length > 0) this.#enqueue(output.committed);
    if (this.#applyFrom < this.#backlog.length && !this.#installing) this.#applySome();
    this.#duties.progressed();
    if (output.readStates.length + output.readsDropped.length > 0) {
      this.#duties.readStates(output.readStates, output.readsDropped);
    }
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
    const next = this.#duties.apply(this.#backlog, this.#applyFrom);
    const last = this.#backlog[next - 1];
    this.#applyFrom = next;
    if (last !== undefined) {
      this.#core.applied(last.index);
      this.#core.evict(last.index);
    }
    if (next < this.#backlog.length) this.turnSoon();
    else this.#backlog = [];
  }

  /** One write and one sync for everything that the core decided so far. */
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
        this.#duties.synced((this.#clock.monotonic() - begin) / 1e6, entries);
        for (const { persist, after } of work) {
          this.#core.persisted(persist.token);
          if (after.length > 0) this.#duties.send(after);
        }
        this.#turn();
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
    if (entries.length > 0) await this.#untilRoom(() => this.#journal.append(entries));
    let last: HardState | null = null;
    let commit = false;
    for (const { persist } of work) {
      last = persist.hardState ?? last;
      commit ||= persist.syncCommit;
    }
    // Costs nothing unless term or vote changed, or the commit index has to be as durable.
    const hardState = last;
    if (hardState !== null)
      await this.#untilRoom(() => this.#hardState.save(hardState, { commit }));
    if (this.#core.claim === null && this.#journal.claimed !== null) {
      await this.#journal.releaseClaim();
    }
  }

  /** Repeats a write that did nothing for want of space. Whatever frees space waits here too. */
  async #untilRoom(write: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await write();
        return;
      } catch (error) {
        if (!(error instanceof DiskFull)) throw error;
        await this.#duties.roomNeeded();
        if (this.#stopped) throw error;
      }
    }
  }

  /** What is applied meanwhile would be lost: the backlog lies within the snapshot. */
  async #install(snapshot: SnapshotMeta): Promise<void> {
    this.#installing = true;
    this.#backlog = [];
    this.#applyFrom = 0;
    await this.#duties.install(snapshot);
    this.#installing = false;
  }

  #tickLater(): void {
    this.#cancelTick = this.#clock.after(this.#tickMs, () => {
      if (this.#stopped) return;
      if (this.#isUnfit()) this.#core.stepDown();
      this.#core.tick();
      this.#turn();
      this.#tickLater();
    });
  }

  /**
   * A leader whose disk is stuck, or that was paused, holds the others up: it gives way. A sole
   * voter has nobody to give way to.
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
    this.#duties.fault(error);
  }
}

/** Later writes overwrite the suffix of earlier ones, as in the log itself. */
function mergeEntries(work: readonly { persist: Persist }[]): readonly Entry[] {
  let merged: Entry[] = [];
  for (const { persist } of work) {
    const first = persist.entries[0];
    if (persist.snapshot !== null) merged = [];
    if (first === undefined) continue;
    if (merged.length > 0 && (merged.at(-1) as Entry).index >= first.index) {
      merged = merged.filter((entry) => entry.index < first.index);
    }
    merged.push(...persist.entries);
  }
  return merged;
}
