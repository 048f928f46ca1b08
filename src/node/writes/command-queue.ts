import type { Clock } from "../../env/clock.ts";
import { assert } from "../../lib/assert.ts";
import { ByteWriter } from "../../lib/bytes.ts";
import type { Millis } from "../../lib/ids.ts";
import { closeEntry, openEntry, stampEntry } from "../../machine/command-codec.ts";
import type { Core } from "../../raft/core.ts";
import type { WriteReject } from "../api.ts";
import type { Completions } from "./completions.ts";
import { expire, newProposal, type Proposal, rejectAll } from "./proposal.ts";
import { CommandWaiter, type PendingCommand, type Waiter } from "./waiters.ts";

/** Limits of an entry. It has the commands that arrived while the previous one was written. */
export const PROPOSAL_BYTES_MAX = 1024 * 1024;
export const PROPOSAL_COMMANDS_MAX = 10_000;
const NOT_STAMPED = 0 as Millis;

export type CommandQueueOptions = {
  readonly core: Pick<Core, "propose" | "lastIndex" | "term">;
  readonly completions: Completions;
  /** The cluster time. While `mayStamp` is false, it is not known yet and entries wait. */
  readonly clock: Clock & { mayStamp(): boolean };
  /** The time of the machine. An entry is never stamped with an earlier time. */
  readonly machine: { readonly now: Millis };
  /** Time at which a reader saw keys as expired. An entry is never stamped with an earlier time. */
  readonly reads: { readonly floorMs: Millis };
  /** True while the disk waits for a descriptor or memory. Writes are refused as overloaded. */
  readonly disk: { readonly isShort: boolean };
  readonly queueBytesMax: number;
  readonly queueRequestsMax: number;
  readonly loop: { wake(): void };
  /** `confirm` resolves to `ok` when everything that was committed before is applied here. */
  readonly linearizer: { confirm(): Promise<"ok" | WriteReject> };
};

/**
 * Group commit: requests are encoded into an open entry, one after the other. The entry closes when
 * the journal is idle or when the entry is full. The queue is bounded and refuses excess requests
 * before it encodes them.
 */
export class CommandQueue {
  readonly #options: CommandQueueOptions;
  readonly #completions: Completions;
  readonly #writer = new ByteWriter(64 * 1024);
  /** Position of the next command in the writer. */
  #mark = 0;
  #open: Proposal = newProposal();
  /** Closed entries that wait for the journal. */
  readonly #closed: { proposal: Proposal; data: Uint8Array }[] = [];
  /** Number of commands in the open entry and the closed ones. */
  #bytes = 0;
  #requests = 0;
  /** Records that were submitted since the last `takeRecords`. */
  #records = 0;
  #stampedMs = 0 as Millis;
  #refusal: WriteReject | null = "no_leader";
  #diskFull = false;
  #journalFull = false;
  /** Called before an entry is closed: adds the commands of requests that share one. */
  #collect: () => void = () => {};
  #isCollecting = false;

  constructor(options: CommandQueueOptions) {
    this.#options = options;
    this.#completions = options.completions;
  }

  /** @param collect is called before an entry is closed. It may submit commands. */
  setCollector(collect: () => void): void {
    this.#collect = collect;
  }

  /** Returns the number of records that were submitted since the last call. */
  takeRecords(): number {
    const records = this.#records;
    this.#records = 0;
    return records;
  }

  /** Bytes of the commands that were submitted and are not applied yet. */
  get queuedBytes(): number {
    return this.#bytes + this.#completions.bytes;
  }

  /** Commands that were submitted and are not applied yet. */
  get queuedRequests(): number {
    return this.#requests + this.#completions.requests;
  }

  /** The reason if every write is refused now. Null: writes are accepted. */
  setRefusal(refusal: WriteReject | null): void {
    // A new leader: only its log decides which of its older proposals are committed.
    if (refusal === null) this.#completions.dropLost();
    this.#refusal = refusal;
  }

  /** True if the disk has no space for records and values. Deletions and tiny commands pass. */
  setDiskFull(full: boolean): void {
    this.#diskFull = full;
  }

  get diskFull(): boolean {
    return this.#diskFull;
  }

  /**
   * True if not even a deletion can be journaled. Writes that were accepted would wait for space until
   * they time out.
   */
  setJournalFull(full: boolean): void {
    this.#journalFull = full;
  }

  get journalFull(): boolean {
    return this.#journalFull;
  }

  /** The reason why this node refuses all writes, or null. */
  get refusal(): WriteReject | null {
    return this.#refusal;
  }

  /**
   * False on a leader that has not applied an entry of its term yet. The log may contain more than the
   * machine, so the machine must not be used to refuse a write or to predict its result.
   */
  get isCurrent(): boolean {
    return this.#completions.appliedTerm === this.#options.core.term;
  }

  /** Waits until this leader is current. @returns why it refuses writes, or null. */
  async whenCurrent(): Promise<WriteReject | null> {
    if (this.#refusal !== null || this.isCurrent) return this.#refusal;
    if (this.#journalFull) return "disk_full";
    const outcome = await this.confirm();
    return outcome === "ok" ? this.#refusal : (this.#refusal ?? outcome);
  }

  confirm(): Promise<"ok" | WriteReject> {
    return this.#options.linearizer.confirm();
  }

  /** The same as `admit`, for writes that store data. */
  admitGrowth(bytes: number): WriteReject | null {
    return this.#diskFull && this.#refusal === null ? "disk_full" : this.admit(bytes);
  }

  /** Must be called before a command is encoded. @returns why the write is refused, or null. */
  admit(bytes: number): WriteReject | null {
    if (this.#refusal !== null) return this.#refusal;
    if (this.#journalFull) return "disk_full";
    if (this.#options.disk.isShort) return "overloaded";
    const { queueBytesMax, queueRequestsMax } = this.#options;
    const { queuedRequests } = this;
    // An empty queue accepts every request, however small the limit is.
    if (queuedRequests === 0) return null;
    if (this.queuedBytes + bytes > queueBytesMax) return "overloaded";
    return queuedRequests >= queueRequestsMax ? "overloaded" : null;
  }

  /** The writer for exactly one command. The caller must then call `submit` synchronously. */
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
   * @param waiter the waiter of the command just encoded. Null for maintenance.
   * @param records the number of its records, for the metrics.
   */
  submit(waiter: Waiter | null, records = 0): Proposal {
    const open = this.#open;
    const bytes = this.#writer.length - this.#mark;
    assert(bytes > 0, "a command was encoded before it is submitted");
    this.#mark = this.#writer.length;
    open.waiters.push(waiter);
    open.bytes += bytes;
    this.#bytes += bytes;
    this.#requests++;
    this.#records += records;
    if (open.bytes >= PROPOSAL_BYTES_MAX || open.waiters.length >= PROPOSAL_COMMANDS_MAX) {
      this.#close();
    }
    // The entry is closed right after it is collected: another iteration would find nothing to do.
    if (!this.#isCollecting) this.#options.loop.wake();
    return open;
  }

  /** The index of a proposal, or the index that it gets unless leadership changes. */
  indexOf(proposal: Proposal): number {
    if (proposal.index > 0) return proposal.index;
    const position = this.#closed.findIndex((closed) => closed.proposal === proposal);
    const ahead = position < 0 ? this.#closed.length : position;
    return this.#options.core.lastIndex + 1 + ahead;
  }

  /** Yields the commands that this leader has accepted before that of the waiter and not applied yet. */
  *before(waiter: Waiter): Generator<PendingCommand> {
    const closed = this.#closed.map(({ proposal }) => proposal);
    for (const { waiters } of [...this.#completions.proposals, ...closed, this.#open]) {
      for (const each of waiters) {
        if (each === waiter) return;
        if (each instanceof CommandWaiter && each.command !== null) yield each.command;
      }
    }
  }

  /** Number of disks that are known to have a proposal. */
  ackedBy(proposal: Proposal): number {
    return this.#completions.ackedBy(proposal);
  }

  /** Called when the journal is idle. Proposes all waiting commands as entries of the log. */
  propose(): void {
    this.#isCollecting = true;
    this.#collect();
    this.#isCollecting = false;
    if (this.#open.waiters.length === 0 && this.#closed.length === 0) return;
    if (!this.#options.clock.mayStamp()) return;
    if (this.#open.waiters.length > 0) this.#close();
    for (const { proposal, data } of this.#closed.splice(0)) {
      this.#forget(proposal);
      stampEntry(data, this.#stamp());
      const outcome = this.#options.core.propose(data);
      if (outcome.ok) this.#completions.proposed(proposal, outcome.index, outcome.term);
      else rejectAll(proposal, outcome.code === "not_leader" ? "not_leader" : "overloaded");
    }
  }

  /** Called after leadership is lost. Refuses commands outside the log; others stay in flight. */
  refuseQueued(code: WriteReject): void {
    if (this.#open.waiters.length > 0) this.#close();
    for (const { proposal } of this.#closed.splice(0)) {
      this.#forget(proposal);
      rejectAll(proposal, code);
    }
  }

  /** Ends the waits that began before `beforeUs`. */
  expire(beforeUs: number): void {
    for (const { proposal } of this.#closed) expire(proposal, beforeUs);
    expire(this.#open, beforeUs);
  }

  #stamp(): Millis {
    const { clock, machine, reads } = this.#options;
    const floorMs = Math.max(machine.now, reads.floorMs);
    this.#stampedMs = Math.max(clock.now(), this.#stampedMs, floorMs) as Millis;
    return this.#stampedMs;
  }

  #close(): void {
    const proposal = this.#open;
    proposal.closedUs = this.#options.clock.monotonic();
    closeEntry(this.#writer, 0, NOT_STAMPED, proposal.waiters.length);
    this.#closed.push({ proposal, data: this.#writer.take() });
    this.#open = newProposal();
  }

  #forget(proposal: Proposal): void {
    this.#bytes -= proposal.bytes;
    this.#requests -= proposal.waiters.length;
    assert(this.#requests >= 0, "no request is forgotten twice");
  }
}
