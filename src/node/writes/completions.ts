import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { CommandResult } from "../../machine/commands.ts";
import type { Core } from "../../raft/core.ts";
import type { Entry, LogIndex } from "../../raft/types.ts";
import type { WriteAck, WriteReject } from "../api.ts";
import { expire, type Proposal, rejectAll } from "./proposal.ts";
import type { Waiter } from "./waiters.ts";
import { Acknowledgements, type WriteConcern } from "./write-concern.ts";

export type CompletionsOptions = {
  readonly core: Core;
  readonly clock: Clock;
  readonly writeConcern: WriteConcern;
  /** Observes the seconds from the close of an entry to its commit. */
  readonly commitSeconds: { observe(seconds: number): void };
};

/**
 * The proposals that are in the log and not yet applied. Answers their requests when the write
 * concern is met: after the entry was applied, or with write concern 1 when this disk has it.
 */
export class Completions {
  readonly #core: Core;
  readonly #clock: Clock;
  readonly #acknowledgements: Acknowledgements;
  readonly #answersAppended: boolean;
  readonly #commitSeconds: CompletionsOptions["commitSeconds"];
  /** Sorted by index. */
  #inFlight: Proposal[] = [];
  #bytes = 0;
  #requests = 0;
  #appliedTerm = 0;

  constructor({ core, clock, writeConcern, commitSeconds }: CompletionsOptions) {
    this.#core = core;
    this.#clock = clock;
    this.#acknowledgements = new Acknowledgements(core, writeConcern);
    this.#answersAppended = writeConcern.kind === "appended";
    this.#commitSeconds = commitSeconds;
  }

  get inFlight(): number {
    return this.#inFlight.length;
  }

  /** Bytes of the commands in flight. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of commands in flight. */
  get requests(): number {
    return this.#requests;
  }

  /** Term of the last applied entry. */
  get appliedTerm(): number {
    return this.#appliedTerm;
  }

  /** In the order of the log. */
  get proposals(): readonly Proposal[] {
    return this.#inFlight;
  }

  /** Adds a proposal that is in the log at `index`. */
  proposed(proposal: Proposal, index: number, term: number): void {
    proposal.index = index;
    proposal.term = term;
    this.#bytes += proposal.bytes;
    this.#requests += proposal.waiters.length;
    this.#inFlight.push(proposal);
  }

  /** Removes and returns the proposal of a committed entry, if this leader proposed it. */
  take(entry: Entry): Proposal | null {
    this.#appliedTerm = entry.term;
    for (;;) {
      const proposal = this.#inFlight[0];
      if (proposal === undefined || proposal.index > entry.index) return null;
      this.#inFlight.shift();
      this.#forget(proposal);
      proposal.committedUs = this.#clock.monotonic();
      this.#commitSeconds.observe((proposal.committedUs - proposal.closedUs) / 1e6);
      if (proposal.index === entry.index && proposal.term === entry.term) return proposal;
      // Another leader's entry replaced it, so it will never be applied. Or it is in a snapshot of
      // another leader, and then its outcome is unknown.
      rejectAll(proposal, proposal.index === entry.index ? "not_leader" : "commit_timeout");
    }
  }

  /** Called after the command at `position` was applied. Answers it when the write concern is met. */
  settle(proposal: Proposal, position: number, result: CommandResult): void {
    const waiter = proposal.waiters[position];
    if (waiter === null || waiter === undefined) return;
    waiter.leftQueue();
    const ackedBy = this.#acknowledgements.enough(proposal.index);
    if (ackedBy >= 0) answer(proposal, waiter, result, ackedBy, proposal.committedUs);
    else {
      waiter.held(result);
      this.#acknowledgements.hold(proposal.index, waiter, (count) =>
        answer(proposal, waiter, result, count, this.#clock.monotonic()),
      );
    }
  }

  /** This disk has all entries up to `index`. With write concern 1, this answers the requests. */
  durable(index: number): void {
    if (!this.#answersAppended && !faultPoint("write-concern-1-reports-replicated")) return;
    for (const proposal of this.#inFlight) {
      if (proposal.index > index) return;
      for (const waiter of proposal.waiters) waiter?.appended(proposal.index);
    }
  }

  /** Called if the disk of a voter has more entries than before, or the voters changed. */
  acknowledged(): void {
    this.#acknowledgements.advance();
  }

  /** Number of disks that are known to have a proposal. */
  ackedBy({ index, term }: Proposal): number {
    return index > 0 && this.#core.term === term ? this.#acknowledgements.count(index) : 0;
  }

  /**
   * Abandons the proposals that this log does not contain any more, and those that a snapshot covers.
   * Their outcome is unknown. Otherwise they would count as waiting until another entry is applied at
   * their index, and a node that leads again would queue its own proposals behind them.
   */
  dropLost(): void {
    const core = this.#core;
    const isLost = ({ index, term }: Proposal) =>
      index <= core.appliedIndex || core.termAt(index as LogIndex) !== term;
    if (!this.#inFlight.some(isLost)) return;
    const lost = this.#inFlight.filter(isLost);
    this.#inFlight = this.#inFlight.filter((proposal) => !isLost(proposal));
    for (const proposal of lost) this.#reject(proposal, "commit_timeout");
  }

  /** Ends the waits that began before `beforeUs`. */
  expire(beforeUs: number): void {
    for (const proposal of this.#inFlight) expire(proposal, beforeUs);
    this.#acknowledgements.expire(beforeUs);
    this.dropLost();
  }

  /** Ends all waits with an unknown outcome, because the node stops. */
  stop(): void {
    for (const proposal of this.#inFlight.splice(0)) this.#reject(proposal, "commit_timeout");
    this.#acknowledgements.reject("commit_timeout");
  }

  #reject(proposal: Proposal, code: WriteReject): void {
    this.#forget(proposal);
    rejectAll(proposal, code);
  }

  #forget(proposal: Proposal): void {
    this.#bytes -= proposal.bytes;
    this.#requests -= proposal.waiters.length;
  }
}

function answer(
  proposal: Proposal,
  waiter: Waiter,
  result: CommandResult,
  ackedBy: number,
  nowUs: number,
): void {
  const ack: WriteAck = { batchId: proposal.index, synced: true, ackedBy };
  waiter.applied(result, ack, proposal.closedUs, nowUs);
}
