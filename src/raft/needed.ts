/** What of the leader's log its peers still need. */
import type { EntryLog } from "./entry-log.ts";
import { after } from "./indexes.ts";
import type { Progress } from "./progress.ts";
import type { Leader, Raft } from "./state.ts";
import type { LogIndex, NodeId } from "./types.ts";

/** By peer, the first entry that it is to get from the log; none for those who get a snapshot. */
export function neededFrom(
  { log }: Raft,
  { progress, electedFrom }: Leader,
): ReadonlyMap<NodeId, LogIndex> {
  const needed = new Map<NodeId, LogIndex>();
  for (const [id, peer] of progress) {
    const from = neededBy(peer, log, electedFrom);
    if (from !== null) needed.set(id, from);
  }
  return needed;
}

function neededBy(
  { state, match, next, pendingSnapshot }: Progress,
  { compactedIndex }: EntryLog,
  electedFrom: LogIndex,
): LogIndex | null {
  // What follows the snapshot, without which it would be of no use.
  if (state === "snapshot") return pendingSnapshot < compactedIndex ? null : after(pendingSnapshot);
  if (match >= compactedIndex) return after(match);
  if (next <= compactedIndex) return null;
  // Either it was not heard of yet, and may need anything that is here; or what it was sent, be it
  // a snapshot, is not acknowledged yet.
  return match === 0 && electedFrom > compactedIndex ? electedFrom : next;
}
