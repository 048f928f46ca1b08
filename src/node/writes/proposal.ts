import type { WriteReject } from "../api.ts";
import type { Waiter } from "./waiters.ts";

/** The commands of one entry and the requests that wait for them, by position. */
export type Proposal = {
  /** 0 until the entry is in the log. */
  index: number;
  term: number;
  bytes: number;
  /** Monotonic microseconds, as for the two fields below. */
  openedUs: number;
  closedUs: number;
  committedUs: number;
  readonly waiters: (Waiter | null)[];
};

export const newProposal = (): Proposal => ({
  index: 0,
  term: 0,
  bytes: 0,
  openedUs: 0,
  closedUs: 0,
  committedUs: 0,
  waiters: [],
});

/** Ends the waits of a proposal that was opened before `beforeUs`. */
export function expire(proposal: Proposal, beforeUs: number): void {
  if (proposal.openedUs > beforeUs) return;
  for (const waiter of proposal.waiters) waiter?.expired();
}

export function rejectAll(proposal: Proposal, code: WriteReject): void {
  for (const waiter of proposal.waiters) {
    waiter?.leftQueue();
    waiter?.rejected(code);
  }
}
