import type { Clock } from "../../env/clock.ts";
import { assert } from "../../lib/assert.ts";
import { ByteWriter } from "../../lib/bytes.ts";
import type { Millis } from "../../lib/ids.ts";
import { closeEntry, openEntry, stampEntry } from "../../machine/command-codec.ts";
import type { CommandResult } from "../../machine/commands.ts";
import type { Core } from "../../raft/core.ts";
import type { Entry, LogIndex } from "../../raft/types.ts";
import type { WriteAck, WriteReject } from "../api.ts";
import type { Waiter } from "./waiters.ts";
import type { Acknowledgements } from "./write-concern.ts";

/** An entry holds the commands of as many requests as came while the last one was being written. */
export const PROPOSAL_BYTES_MAX = 1024 * 1024;
export const PROPOSAL_COMMANDS_MAX = 10_000;
const DEADLINE_CHECK_MS = 50;
const NOT_STAMPED = 0 as Millis;

export type ProposerOptions = {
  readonly core: Core;
  readonly clock: Clock;
  /** False: it is not known yet what time it is; entries wait. */
  readonly mayStamp: () => boolean;
  /** True while the disk waits for a descriptor or memory: writes are refused as overload. */
  readonly isShort: () => boolean;
  /** Time of the machine: what is stamped never lies before it. */
  readonly machineNow: () => Millis;
  readonly queueBytesMax: number;
  readonly queueRequestsMax: number;
  readonly commitTimeoutMs: number;
  /** Takes a turn soon. */
  readonly wake: () => void;
  /** Resolves to `ok` when all that was committed so far is applied here. */
  readonly confirm: () => Promise<"ok" | WriteReject>;
  readonly acknowledgements: Acknowledgements;
  /** An entry was committed so long after it was closed, in seconds. */
  readonly committed: (seconds: number) => void;
};

/** The commands of one entry and who waits for them, by position. */
type Proposal = {
  index: number;
  term: number;
  bytes: number;
  openedUs: number;
  closedUs: number;
  committedUs: number;
  readonly waiters: (Waiter | null)[];
};

/**
 * Group commit: requests are encoded into an open entry, one after the other; it closes when the
 * journal is idle or when it is full. The queue is bounded, and refuses before it accepts.
 */
export class Proposer {
  readonly #options: ProposerOptions;
  readonly #writer = new ByteWriter(64 * 1024);
  /** Where the next command begins in the writer. */
  #mark = 0;
  #open: Proposal = newProposal();
  /** Full entries that wait for the journal. */
  readonly #closed: { proposal: Proposal; data: Uint8Array }[] = [];
  /** In the log and not yet applied, in order of their index. */
  #inFlight: Proposal[] = [];
  #queuedBytes = 0;
  #queuedRequests = 0;
  /** Submitted since the last `takeRecords`. */
  #records = 0;
  #stampedMs = 0 as Millis;
  #refusal: WriteReject | null = "no_leader";
  /** Of the last entry that was applied. */
  #appliedTerm = 0;
  #diskFull = false;
  #journalFull = false;
  #cancelDeadlines: () => void;

  constructor(options: ProposerOptions) {
    this.#options = options;
    this.#cancelDeadlines = this.#checkLater();
  }

  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** Records that were submitted since the last call. */
  takeRecords(): number {
    const records = this.#records;
    this.#records = 0;
    return records;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  get queuedRequests(): number {
    return this.#queuedRequests;
  }

  /** Why every write is refused now; null: they are welcome. */
  setRefusal(refusal: WriteReject | null): void {
    // A new leader: its log alone decides which of its older proposals are committed.
    if (refusal === null) this.#dropLost();
    this.#refusal = refusal;
  }

  /** No space for more records and values; what frees space or is tiny still gets through. */
  setDiskFull(full: boolean): void {
    this.#diskFull = full;
  }

  get diskFull(): boolean {
    return this.#diskFull;
  }

  /** No space for anything: not even a deletion can be journaled. */
  setJournalFull(full: boolean): void {
    this.#journalFull = full;
  }

  get journalFull(): boolean {
    return this.#journalFull;
  }

  /** Why this node takes no writes at all, or null. */
  get refusal(): WriteReject | null {
    return this.#refusal;
  }

  /**
   * False on a leader that has applied nothing of its term yet: the log may hold more than the
   * machine knows, so nothing is denied or predicted by what the machine has.
   */
  get isCurrent(): boolean {
    return this.#appliedTerm === this.#options.core.term;
  }

  /** Waits until this leader is current. @returns why it takes no writes, or null. */
  async whenCurrent(): Promise<WriteReject | null> {
    if (this.#refusal !== null || this.isCurrent) return this.#refusal;
    if (this.#journalFull) return "disk_full";
    const outcome = await this.#options.confirm();
    return outcome === "ok" ? this.#refusal : (this.#refusal ?? outcome);
  }

  confirm(): Promise<"ok" | WriteReject> {
    return this.#options.confirm();
  }

  /** As `admit`, for writes that grow what is stored. */
  admitGrowth(bytes: number): WriteReject | null {
    return this.#diskFull && this.#refusal === null ? "disk_full" : this.admit(bytes);
  }

  /** Asks before anything is encoded. @returns why the write is refused, or null. */
  admit(bytes: number): WriteReject | null {
    if (this.#refusal !== null) return this.#refusal;
    if (this.#journalFull) return "disk_full";
    if (this.#options.isShort()) return "overloaded";
    const { queueBytesMax, queueRequestsMax } = this.#options;
    // An empty queue takes any request, however small the limit is.
    if (this.#queuedRequests === 0) return null;
    if (this.#queuedBytes + bytes > queueBytesMax) return "overloaded";
    return this.#queuedRequests >= queueRequestsMax ? "overloaded" : null;
  }

  /** Where to encode exactly one command; then call `submit` at once. */
  writer(): ByteWriter {
    if (this.#open.waiters.length === 0) {
      this.#writer.clear();
      openEntry(this.#writer);
      this.#open.openedUs = this.#options.clock.monotonic();
      this.#mark = this.#writer.length;
    }
    return this.#writer;
  }

  /**
   * @param waiter of the command just encoded; null where nobody waits, as for housekeeping.
   * @param records that it holds, for the metrics.
   */
  submit(waiter: Waiter | null, records = 0): Proposal {
    const open = this.#open;
    const bytes = this.#writer.length - this.#mark;
    assert(bytes > 0, "a command was encoded before it is submitted");
    this.#mark = this.#writer.length;
    open.waiters.push(waiter);
    open.bytes += bytes;
    this.#queuedBytes += bytes;
    this.#queuedRequests++;
    this.#records += records;
    if (open.bytes >= PROPOSAL_BYTES_MAX || open.waiters.length >= PROPOSAL_COMMANDS_MAX) {
      this.#close();
    }
    this.#options.wake();
    return open;
  }

  /** The index that a proposal has or, if all goes well, will get. */
  indexOf(proposal: Proposal): number {
    if (proposal.index > 0) return proposal.index;
    const position = this.#closed.findIndex((closed) => closed.proposal === proposal);
    const ahead = position < 0 ? this.#closed.length : position;
    return this.#options.core.lastIndex + 1 + ahead;
  }

  /** How many disks are known to have a proposal by now. */
  ackedBy({ index, term }: Proposal): number {
    const { core, acknowledgements } = this.#options;
    return index > 0 && core.term === term ? acknowledgements.count(index) : 0;
  }

  /** The journal is idle: everything that waits becomes entries of the log. */
  propose(): void {
    if (this.#open.waiters.length === 0 && this.#closed.length === 0) return;
    if (!this.#options.mayStamp()) return;
    if (this.#open.waiters.length > 0) this.#close();
    for (const { proposal, data } of this.#closed.splice(0)) {
      stampEntry(data, this.#stamp());
      const outcome = this.#options.core.propose(data);
      if (!outcome.ok) {
        this.#drop(proposal, outcome.code === "not_leader" ? "not_leader" : "overloaded");
        continue;
      }
      proposal.index = outcome.index;
      proposal.term = outcome.term;
      this.#inFlight.push(proposal);
    }
  }

  /** The proposal behind a committed entry, if it came from this leader. Each is taken once. */
  take(entry: Entry): Proposal | null {
    this.#appliedTerm = entry.term;
    for (;;) {
      const proposal = this.#inFlight[0];
      if (proposal === undefined || proposal.index > entry.index) return null;
      this.#inFlight.shift();
      this.#forget(proposal);
      proposal.committedUs = this.#options.clock.monotonic();
      this.#options.committed((proposal.committedUs - proposal.closedUs) / 1e6);
      if (proposal.index === entry.index && proposal.term === entry.term) return proposal;
      // Another leader's entry took its place, so it will never be applied; or it lies in a
      // snapshot that came from another leader, and nobody can tell.
      rejectAll(proposal, proposal.index === entry.index ? "not_leader" : "commit_timeout");
    }
  }

  /** The command at `position` was applied: answers it, as soon as the write concern is met. */
  settle(proposal: Proposal, position: number, result: CommandResult): void {
    const waiter = proposal.waiters[position];
    if (waiter === null || waiter === undefined) return;
    waiter.leftQueue();
    const { acknowledgements } = this.#options;
    const ackedBy = acknowledgements.enough(proposal.index);
    if (ackedBy >= 0) this.#answer(proposal, waiter, result, ackedBy, proposal.committedUs);
    else {
      acknowledgements.hold(proposal.index, waiter, (count) =>
        this.#answer(proposal, waiter, result, count, this.#options.clock.monotonic()),
      );
    }
  }

  #answer(
    proposal: Proposal,
    waiter: Waiter,
    result: CommandResult,
    ackedBy: number,
    nowUs: number,
  ): void {
    const ack: WriteAck = { batchId: proposal.index, synced: true, ackedBy };
    waiter.applied(result, ack, proposal.closedUs, nowUs);
  }

  /** The leader's disk has all up to `index`; with write concern 1 that is an answer. */
  durable(index: number): void {
    if (this.#options.acknowledgements.concern.kind !== "appended") return;
    for (const proposal of this.#inFlight) {
      if (proposal.index > index) return;
      for (const waiter of proposal.waiters) waiter?.appended(proposal.index);
    }
  }

  /**
   * Gives up the proposals that this log no longer holds, and those that a snapshot has overtaken.
   * Their outcome is unknown. Without this, they would count as waiting until another entry is
   * applied at their index, and a node that leads again would queue its own proposals behind them.
   */
  #dropLost(): void {
    const { core } = this.#options;
    const isLost = ({ index, term }: Proposal) =>
      index <= core.appliedIndex || core.termAt(index as LogIndex) !== term;
    if (!this.#inFlight.some(isLost)) return;
    const lost = this.#inFlight.filter(isLost);
    this.#inFlight = this.#inFlight.filter((proposal) => !isLost(proposal));
    for (const proposal of lost) this.#drop(proposal, "commit_timeout");
  }

  /** Leadership is gone: what is not in the log is refused; the rest waits for its fate. */
  refuseQueued(code: WriteReject): void {
    if (this.#open.waiters.length > 0) this.#close();
    for (const { proposal } of this.#closed.splice(0)) this.#drop(proposal, code);
  }

  stop(): void {
    this.#cancelDeadlines();
    this.refuseQueued("shutting_down");
    for (const proposal of this.#inFlight.splice(0)) rejectAll(proposal, "commit_timeout");
    this.#options.acknowledgements.reject("commit_timeout");
  }

  #stamp(): Millis {
    const now = this.#options.clock.now();
    this.#stampedMs = Math.max(now, this.#stampedMs, this.#options.machineNow()) as Millis;
    return this.#stampedMs;
  }

  #close(): void {
    const proposal = this.#open;
    proposal.closedUs = this.#options.clock.monotonic();
    closeEntry(this.#writer, 0, NOT_STAMPED, proposal.waiters.length);
    this.#closed.push({ proposal, data: this.#writer.take() });
    this.#open = newProposal();
  }

  #drop(proposal: Proposal, code: WriteReject): void {
    this.#forget(proposal);
    rejectAll(proposal, code);
  }

  #forget(proposal: Proposal): void {
    this.#queuedBytes -= proposal.bytes;
    this.#queuedRequests -= proposal.waiters.length;
    assert(this.#queuedRequests >= 0, "no request is forgotten twice");
  }

  /** One timer for all: the server's own deadline is the same for every request. */
  #checkLater(): () => void {
    return this.#options.clock.after(DEADLINE_CHECK_MS, () => {
      const before = this.#options.clock.monotonic() - this.#options.commitTimeoutMs * 1000;
      for (const proposal of this.#inFlight) expire(proposal, before);
      for (const { proposal } of this.#closed) expire(proposal, before);
      expire(this.#open, before);
      this.#options.acknowledgements.expire(before);
      this.#dropLost();
      this.#cancelDeadlines = this.#checkLater();
    });
  }
}

const newProposal = (): Proposal => ({
  index: 0,
  term: 0,
  bytes: 0,
  openedUs: 0,
  closedUs: 0,
  committedUs: 0,
  waiters: [],
});

function expire(proposal: Proposal, beforeUs: number): void {
  if (proposal.openedUs > beforeUs) return;
  for (const waiter of proposal.waiters) waiter?.expired();
}

function rejectAll(proposal: Proposal, code: WriteReject): void {
  for (const waiter of proposal.waiters) {
    waiter?.leftQueue();
    waiter?.rejected(code);
  }
}

export type { Proposal };
