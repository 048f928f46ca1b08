/**
 * Helpers of the injected faults of this folder (see `lib/fault-points.d.ts`). A build without
 * faults uses none of it and does not contain it.
 */
import type { VoterSets } from "./quorum.ts";
import type { Raft } from "./state.ts";
import type { Configuration, NodeId } from "./types.ts";

/** Returns the voters without the outgoing half of a joint configuration. */
export const incomingOnly = ({ voters }: VoterSets): VoterSets => ({ voters, votersOutgoing: [] });

/** Returns the voters with the learners among them. */
export const withLearners = ({ voters, votersOutgoing, learners }: Configuration): VoterSets => ({
  voters: [...voters, ...learners],
  votersOutgoing,
});

/** Tells whether `id` has a higher priority than this member. */
export const hasPriority = ({ id: self, settings: { priority } }: Raft, id: NodeId): boolean =>
  (priority.get(id) ?? 0) > (priority.get(self) ?? 0);
