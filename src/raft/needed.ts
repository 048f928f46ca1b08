/** The entries of the leader's log that its peers still need. */
import { feature as faultPoint } from "bun:bundle";
import type { EntryLog } from "./entry-log.ts";
import { after } from "./indexes.ts";
import type { Progress } from "./progress.ts";
import type { Leader, Raft } from "./state.ts";
import type { LogIndex, NodeId } from "./types.ts";

/**
 * Returns, by peer, the first entry to send from the log. Peers that get a snapshot are left out.
 */
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
  // The peer needs the entries after the snapshot. Without them the snapshot would be useless.
  if (state === "snapshot") {
    return pendingSnapshot < compactedIndex ||
      faultPoint("nothing-kept-behind-a-snapshot-on-its-way")
      ? null
      : after(pendingSnapshot);
  }
  if (match >= compactedIndex) return after(match);
  if (next <= compactedIndex) return null;
  // Either the peer has not responded since the election and may need any entry that is retained;
  // or it has not acknowledged yet what was sent to it, which may be a snapshot.
  return match === 0 && electedFrom > compactedIndex ? electedFrom : next;
}
