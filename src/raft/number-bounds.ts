/**
 * Bounds of terms and indexes. They are numbers, exact up to 2^53 - 1. Beyond that two neighbours
 * compare as equal: a member could vote twice in one term, and two entries could have the same
 * index. So larger values never enter the core.
 */
import { assert } from "../lib/assert.ts";
import type { InitialState } from "./core.ts";
import type { Message, SnapshotMeta } from "./types.ts";

/** The last term in which a leader can be elected, and the last index of an entry. */
export const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

/** Tells whether `value` is an integer of 0 to 2^53 - 1. */
export const isExact = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/**
 * Tells whether all numbers of a message are exact, including the index of the last entry of an
 * append.
 */
export function hasExactNumbers(message: Message): boolean {
  return isExact(message.term) && hasExactFields(message);
}

function hasExactFields(message: Message): boolean {
  switch (message.type) {
    case "vote_request":
    case "pre_vote_request":
      return (
        isExact(message.lastIndex) &&
        isExact(message.lastTerm) &&
        isExact(message.commit) &&
        isExact(message.commitTerm)
      );
    case "vote_response":
    case "pre_vote_response":
      return isExact(message.commit) && isExact(message.commitTerm);
    case "append_request": {
      const { prevIndex, prevTerm, entries, commit } = message;
      return isExact(prevIndex + entries.length) && isExact(prevTerm) && isExact(commit);
    }
    case "append_response":
      if (message.accepted) return isExact(message.match);
      return isExact(message.rejected) && isExact(message.hintIndex) && isExact(message.hintTerm);
    case "heartbeat":
      return isExact(message.commit) && isExact(message.round);
    case "heartbeat_response":
      return isExact(message.round);
    case "snapshot_offer":
      return isExact(message.snapshot.index) && isExact(message.snapshot.term);
    case "read_index_request":
      return isExact(message.requestId);
    case "read_index_response":
      return isExact(message.requestId) && isExact(message.index);
    case "timeout_now":
    case "transfer_request":
      return true;
  }
}

export function assertExactPosition({ index, term }: Pick<SnapshotMeta, "index" | "term">): void {
  assertExact("an index", index);
  assertExact("a term", term);
}

/** @throws AssertionError if a number of the initial state is not exact. */
export function assertExactStart(initial: InitialState): void {
  const { hardState, snapshot, evicted, entries, marker, applied } = initial;
  if (hardState) {
    assertExact("the term of the hard state", hardState.term);
    assertExact("the commit index of the hard state", hardState.commit);
  }
  if (snapshot !== undefined) assertExactPosition(snapshot);
  if (marker) assertExactPosition(marker);
  if (applied !== undefined) assertExact("the applied index", applied);
  if (evicted?.after !== undefined) assertExactPosition(evicted.after);
  if (evicted !== undefined) assertExact("an index", evicted.through);
  for (const run of evicted?.runs ?? []) assertExactPosition({ index: run.first, term: run.term });
  for (const entry of entries ?? []) assertExactPosition(entry);
}

function assertExact(what: string, value: number): void {
  assert(isExact(value), `${what} is a whole number of 0 to 2^53 - 1`);
}
