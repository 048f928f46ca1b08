/** Seeded bugs of the consensus core: elections, replication, reads, membership. */
import type { Mutant } from "./mutants.ts";

export const RAFT_MUTANTS: readonly Mutant[] = [
  {
    name: "prevote-ignores-log",
    file: "src/raft/step.ts",
    find: "const granted = mayVote && isComplete;",
    put: "const granted = mayVote && (isPre || isComplete);",
    test: "test/raft",
  },
  {
    name: "stickiness-off",
    file: "src/raft/step.ts",
    find: "    raft.settings.checkQuorum &&\n    leaderOf(raft) !== null &&",
    put: "    raft.settings.id.length === 0 &&",
    test: "test/raft",
  },
  {
    name: "checkquorum-off",
    file: "src/raft/leader.ts",
    find: 'if (heard === "won") return true;',
    put: "if (heard.length > 0) return true;",
    test: "test/raft",
  },
  {
    // There are no leases: this is what one by counted ticks would do after a pause.
    name: "lease-read-after-pause",
    file: "src/raft/replication.ts",
    find: "  leader.reads.add(request, raft.log.commit);",
    put: "  answerRead(raft, { request, index: raft.log.commit });",
    test: "test/raft",
  },
  {
    name: "readindex-id-reused",
    file: "src/raft/core.ts",
    find: "nextRequestId: settings.random.u32() * 2 ** 20,",
    put: "nextRequestId: 0,",
    test: "test/raft",
  },
  {
    name: "readindex-round-reused",
    file: "src/raft/read-index.ts",
    find: "    return this.#lastRound;\n  }\n\n  /** A quorum",
    put: "    return this.#lastRound + 1;\n  }\n\n  /** A quorum",
    test: "test/raft",
  },
  {
    name: "inflight-leak",
    file: "src/raft/leader.ts",
    find: "      progress.inflights.freeUpTo(match);",
    put: "",
    test: "test/raft",
  },
  {
    name: "conflict-hint-off-by-one",
    file: "src/raft/follower.ts",
    find: "    hintIndex: hint.index,",
    put: "    hintIndex: (hint.index - 1) as LogIndex,",
    test: "test/raft",
  },
  {
    name: "two-changes-in-flight",
    file: "src/raft/leader.ts",
    find: 'if (role.pendingConfIndex > raft.log.applied) return { ok: false, code: "change_in_flight" };',
    put: "",
    test: "test/raft",
  },
  {
    name: "change-before-own-term-committed",
    file: "src/raft/leader.ts",
    find: 'if (!hasCommittedInTerm(raft)) return { ok: false, code: "not_ready" };',
    put: "",
    test: "test/raft",
  },
  {
    // Membership takes effect when applied, so there is nothing to revert; this is its counterpart.
    name: "change-in-force-before-its-commit-is-durable",
    file: "src/raft/drain.ts",
    find: "return uncovered === undefined ? limit : minIndex(limit, before(uncovered));",
    put: "return uncovered === undefined ? limit : limit;",
    test: "test/raft",
  },
  {
    name: "learner-counts",
    file: "src/raft/quorum.ts",
    find: "  const incoming = majorityIndex(sets.voters, matchOf);",
    put: "  const { learners = [] } = sets as { learners?: readonly NodeId[] };\n  const incoming = majorityIndex([...sets.voters, ...learners], matchOf);",
    test: "test/raft",
  },
  {
    name: "removed-node-votes",
    file: "src/raft/election.ts",
    find: "return isVoter(configuration, id) && log.pendingSnapshot === null && claim === null;",
    put: "return configuration !== null && id !== null && log.pendingSnapshot === null && claim === null;",
    test: "test/raft",
  },
  {
    name: "transfer-without-catch-up",
    file: "src/raft/leader.ts",
    find: "if (progress.match === raft.log.lastIndex) sendTimeoutNow(raft, target);\n  else",
    put: "sendTimeoutNow(raft, target);\n ",
    test: "test/raft",
  },
  {
    name: "priority-overrides-log-check",
    file: "src/raft/step.ts",
    find: "const granted = mayVote && isComplete;",
    put: "const rank = (id: typeof raft.id) => raft.settings.priority.get(id) ?? 0;\n  const granted = mayVote && (isComplete || rank(message.from) > rank(raft.id));",
  },
  {
    name: "expose-uncommitted",
    file: "src/raft/drain.ts",
    find: "const limit = minIndex(log.commit, log.durable);",
    put: "const limit = log.durable;",
  },
];
