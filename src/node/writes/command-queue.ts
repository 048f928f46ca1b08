import type { Clock } from "../../env/clock.ts";
import { assert } from "../../lib/assert.ts";
import { ByteWriter } from "../../lib/bytes.ts";
import type { Millis } from "../../lib/ids.ts";
import { closeEntry, openEntry, stampEntry } from "../../machine/command-codec.ts";
import type { Core } from "../../raft/core.ts";
import type { WriteReject } from "../api.ts";
import type { Completions } from "./completions.ts";
import { expire, newProposal, type Proposal, rejectAll } from "./proposal.ts";
import type { Waiter } from "./waiters.ts";

/** An entry holds the commands of as many requests as came while the last one was being written. */
export const PROPOSAL_BYTES_MAX = 1024 * 1024;
export const PROPOSAL_COMMANDS_MAX = 10_000;
const NOT_STAMPED = 0 as Millis;

export type CommandQueueOptions = {
  readonly core: Pick<Core, "propose" | "lastIndex" | "term">;
  readonly completions: Completions;
  /** Cluster time. While `mayStamp` is false, the time is not known yet and entries wait. */
  readonly clock: Clock & { mayStamp(): boolean };
  /** The time of the machine: an entry is never stamped with less. */
  readonly machine: { readonly now: Millis };
  /** A reader saw keys expire at this time: an entry is never stamped with less. */
  readonly reads: { readonly floorMs: Millis };
  /** True while the disk waits for a descriptor or memory: writes are refused as overload. */
  readonly disk: { readonly isShort: boolean };
  readonly queueBytesMax: number;
  readonly queueRequestsMax: number;
  readonly loop: { wake(): void };
  /** `confirm` resolves to `ok` when everything that was committed before is applied here. */
  readonly linearizer: { confirm(): Promise<"ok" | WriteReject> };
};

/**
 * Group commit: requests are encoded into an open entry, one after the other. It closes when the
 * journal is idle or when it is full. The queue is bounded, and refuses before it accepts.
 */
export class CommandQueue {
  readonly #options: CommandQueueOptions;
  readonly #completions: Completions;
  readonly #writer = new ByteWriter(64 * 1024);
  /** Where the next command begins in the writer. */
  #mark = 0;
  #open: Proposal = newProposal();
  /** Full entries that wait for the journal. */
  readonly #closed: { proposal: Proposal; data: Uint8Array }[] = [];
  /** Of the open entry and the closed ones. */
  #bytes = 0;
  #requests = 0;
  /** Submitted since the last `takeRecords`. */
  #records = 0;
  #stampedMs = 0 as Millis;
  #refusal: WriteReject | null = "no_leader";
  #diskFull = false;
  #journalFull = false;

  constructor(options: CommandQueueOptions) {
    this.#options = options;
    this.#completions = options.completions;
  }

  /** Records that were submitted since the last call. */
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

  /** Why every write is refused now; null: they are accepted. */
  setRefusal(refusal: WriteReject | null): void {
    // A new leader: its log alone decides which of its older proposals are committed.
    if (refusal === null) this.#completions.dropLost();
    this.#refusal = refusal;
  }

  /** No space for more records and values. Commands that free space or are tiny are accepted. */
  setDiskFull(full: boolean): void {
    this.#diskFull = full;
  }

  get diskFull(): boolean {
    return this.#diskFull;
  }

  /**
   * No space for anything: not even a deletion can be journaled. Writes that were accepted would wait
   * for space until they time out.
   */
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
    return this.#completions.appliedTerm === this.#options.core.term;
  }

  /** Waits until this leader is current. @returns why it takes no writes, or null. */
  async whenCurrent(): Promise<WriteReject | null> {
    if (this.#refusal !== null || this.isCurrent) return this.#refusal;
    if (this.#journalFull) return "disk_full";
    const outcome = await this.confirm();
    return outcome === "ok" ? this.#refusal : (this.#refusal ?? outcome);
  }

  confirm(): Promise<"ok" | WriteReject> {
    return this.#options.linearizer.confirm();
  }

  /** As `admit`, for writes that grow what is stored. */
  admitGrowth(bytes: number): WriteReject | null {
    return this.#diskFull && this.#refusal === null ? "disk_full" : this.admit(bytes);
  }

  /** Asks before anything is encoded. @returns why the write is refused, or null. */
  admit(bytes: number): WriteReject | null {
    if (this.#refusal !== null) return this.#refusal;
    if (this.#journalFull) return "disk_full";
    if (this.#options.disk.isShort) return "overloaded";
    const { queueBytesMax, queueRequestsMax } = this.#options;
    const { queuedRequests } = this;
    // An empty queue takes any request, however small the limit is.
    if (queuedRequests === 0) return null;
    if (this.queuedBytes + bytes > queueBytesMax) return "overloaded";
    return queuedRequests >= queueRequestsMax ? "overloaded" : null;
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
   * @param waiter of the command just encoded; null where no request waits, as for maintenance.
   * @param records that it holds, for the metrics.
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
    this.#options.loop.wake();
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
  ackedBy(proposal: Proposal): number {
    return this.#completions.ackedBy(proposal);
  }

  /** The journal is idle: everything that waits becomes entries of the log. */
  propose(): void {
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

  /** Leadership is lost: commands that are not in the log are refused, the others stay in flight. */
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
