/**
 * Membership arithmetic: computes one configuration from another. Simple changes add or remove one
 * voter; joint changes any number (dissertation 4.3). The rules and refusals are those of etcd's
 * confchange.
 */
import type { ConfChange, Configuration, MembershipChange, NodeId } from "./types.ts";

export type ConfigurationResult =
  | { readonly ok: true; readonly configuration: Configuration }
  | { readonly ok: false; readonly reason: string };

type Draft = {
  voters: Set<NodeId>;
  outgoing: Set<NodeId>;
  learners: Set<NodeId>;
  learnersNext: Set<NodeId>;
  autoLeave: boolean;
};

export const EMPTY_CONFIGURATION: Configuration = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** Returns a configuration with these voters and learners that is not joint. */
export const configurationOf = (
  voters: readonly NodeId[],
  learners: readonly NodeId[] = [],
): Configuration => ({
  ...EMPTY_CONFIGURATION,
  voters: sorted(new Set(voters)),
  learners: sorted(new Set(learners)),
});

export const isJoint = (configuration: Configuration): boolean =>
  configuration.votersOutgoing.length > 0;

/** Returns all members that the leader replicates to, including itself, sorted. */
export const membersOf = (configuration: Configuration): NodeId[] =>
  sorted(
    new Set([...configuration.voters, ...configuration.votersOutgoing, ...configuration.learners]),
  );

export const isVoter = (configuration: Configuration, id: NodeId): boolean =>
  configuration.voters.includes(id) || configuration.votersOutgoing.includes(id);

/** Tells whether the change leaves a joint configuration. */
export const leavesJoint = (change: ConfChange): boolean =>
  change.changes.length === 0 && change.transition === "auto";

/**
 * Applies `change` to `configuration`: leaves or enters a joint configuration, or makes a simple
 * change.
 */
export function applyConfChange(
  configuration: Configuration,
  change: ConfChange,
): ConfigurationResult {
  if (leavesJoint(change)) return leaveJoint(configuration);
  if (change.transition === "auto" && change.changes.length === 1) {
    return simpleChange(configuration, change.changes);
  }
  return enterJoint(configuration, change.transition !== "joint_explicit", change.changes);
}

/** Makes a simple change: at most one voter may be added or removed, and any number of learners. */
export function simpleChange(
  configuration: Configuration,
  changes: readonly MembershipChange[],
): ConfigurationResult {
  const broken = checkConfiguration(configuration);
  if (broken !== null) return refuse(broken);
  if (isJoint(configuration)) return refuse("can't apply simple config change in joint config");
  const draft = draftOf(configuration);
  const failed = applyAll(draft, changes);
  if (failed !== null) return refuse(failed);
  if (voterDifference(configuration.voters, draft.voters) > 1) {
    return refuse("more than one voter changed without entering joint config");
  }
  return finish(draft);
}

/**
 * Enters a joint configuration, in which majorities of both the old and the new voters are needed.
 */
export function enterJoint(
  configuration: Configuration,
  autoLeave: boolean,
  changes: readonly MembershipChange[],
): ConfigurationResult {
  const broken = checkConfiguration(configuration);
  if (broken !== null) return refuse(broken);
  if (isJoint(configuration)) return refuse("config is already joint");
  if (configuration.voters.length === 0) return refuse("can't make a zero-voter config joint");
  const draft = draftOf(configuration);
  draft.outgoing = new Set(draft.voters);
  const failed = applyAll(draft, changes);
  if (failed !== null) return refuse(failed);
  draft.autoLeave = autoLeave;
  return finish(draft);
}

/**
 * Leaves a joint configuration. The incoming voters alone decide, and demoted voters become
 * learners.
 */
export function leaveJoint(configuration: Configuration): ConfigurationResult {
  const broken = checkConfiguration(configuration);
  if (broken !== null) return refuse(broken);
  if (!isJoint(configuration)) return refuse("can't leave a non-joint config");
  const draft = draftOf(configuration);
  for (const id of draft.learnersNext) draft.learners.add(id);
  draft.learnersNext.clear();
  draft.outgoing.clear();
  draft.autoLeave = false;
  return finish(draft);
}

/** @returns the reason why `configuration` is invalid, or null. */
export function checkConfiguration(configuration: Configuration): string | null {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = configuration;
  const lists = { voters, votersOutgoing, learners, learnersNext };
  for (const [name, ids] of Object.entries(lists)) {
    // A member that is listed twice would be counted twice.
    if (!isAscending(ids)) return `${name} are not names, sorted and without repetition`;
  }
  for (const id of learnersNext) {
    if (!votersOutgoing.includes(id)) return `${id} is in learnersNext, but not in votersOutgoing`;
  }
  for (const id of learners) {
    if (votersOutgoing.includes(id)) return `${id} is in learners and votersOutgoing`;
    if (voters.includes(id)) return `${id} is in learners and voters`;
  }
  if (votersOutgoing.length > 0) return null;
  if (learnersNext.length > 0) return "learnersNext must be empty when not joint";
  return autoLeave ? "autoLeave must be false when not joint" : null;
}

const isAscending = (ids: readonly NodeId[]): boolean =>
  ids.every((id, i) => id > (ids[i - 1] ?? ""));

function applyAll(draft: Draft, changes: readonly MembershipChange[]): string | null {
  for (const change of changes) {
    // An empty id stands for a change that its proposer abandoned (as in etcd).
    if (change.id.length > 0) applyOne(draft, change);
  }
  return draft.voters.size === 0 ? "removed all voters" : null;
}

function applyOne(draft: Draft, change: MembershipChange): void {
  const { id } = change;
  switch (change.type) {
    case "add_voter":
      removeIncoming(draft, id);
      draft.voters.add(id);
      return;
    case "add_learner":
      if (draft.learners.has(id)) return;
      removeIncoming(draft, id);
      // The member is still a voter of the outgoing half, so it becomes a learner when the joint
      // configuration is left.
      if (draft.outgoing.has(id)) draft.learnersNext.add(id);
      else draft.learners.add(id);
      return;
    case "remove":
      removeIncoming(draft, id);
  }
}

function removeIncoming(draft: Draft, id: NodeId): void {
  draft.voters.delete(id);
  draft.learners.delete(id);
  draft.learnersNext.delete(id);
}

function voterDifference(before: readonly NodeId[], after: ReadonlySet<NodeId>): number {
  let kept = 0;
  for (const id of before) if (after.has(id)) kept++;
  return before.length - kept + (after.size - kept);
}

const draftOf = (configuration: Configuration): Draft => ({
  voters: new Set(configuration.voters),
  outgoing: new Set(configuration.votersOutgoing),
  learners: new Set(configuration.learners),
  learnersNext: new Set(configuration.learnersNext),
  autoLeave: configuration.autoLeave,
});

function finish(draft: Draft): ConfigurationResult {
  const configuration: Configuration = {
    voters: sorted(draft.voters),
    votersOutgoing: sorted(draft.outgoing),
    learners: sorted(draft.learners),
    learnersNext: sorted(draft.learnersNext),
    autoLeave: draft.autoLeave,
  };
  const broken = checkConfiguration(configuration);
  return broken === null ? { ok: true, configuration } : refuse(broken);
}

const refuse = (reason: string): ConfigurationResult => ({ ok: false, reason });

const sorted = (ids: ReadonlySet<NodeId>): NodeId[] => [...ids].sort();
