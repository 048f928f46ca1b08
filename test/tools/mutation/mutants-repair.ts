/** Seeded bugs of what heals damage, and of what looks for it. */
import type { Mutant } from "./mutants.ts";

export const REPAIR_MUTANTS: readonly Mutant[] = [
  {
    name: "claim-ignored-by-votes",
    file: "src/raft/claim.ts",
    find: "claim === null || reaches(claim, index, term);",
    put: "claim === null || index >= 0 || term >= 0;",
    test: "test/raft/claim.test.ts",
  },
  {
    name: "loss-report-not-answered",
    file: "src/raft/leader.ts",
    find: "if ((lost && progress.maybeForget(hint)) || isLossReport) {",
    put: "if (lost && progress.maybeForget(hint)) {",
    test: "test/raft/claim.test.ts",
  },
  {
    name: "claimed-node-campaigns",
    file: "src/raft/election.ts",
    find: "log.pendingSnapshot === null && claim === null;",
    put: "log.pendingSnapshot === null && claim !== undefined;",
    test: "test/raft/claim.test.ts",
  },
  {
    name: "cut-journal-believes-its-commit-index",
    file: "src/raft/core.ts",
    find: "const known = (initial.claim ?? null) === null ? initial.hardState?.commit : undefined;",
    put: "const known = initial.hardState?.commit;",
    test: "test/raft/cluster.test.ts",
  },
  {
    name: "claim-ends-by-length",
    file: "src/raft/claim.ts",
    find: "minIndex(maxIndex(claim.verified, log.commit), log.durable)",
    put: "minIndex(log.lastIndex, log.durable)",
    test: "test/raft/claim.test.ts",
  },
  {
    name: "journal-of-a-node-alone-is-cut",
    file: "src/node/replica/recovery.ts",
    find: "return [...voters, ...votersOutgoing].some((id) => id !== nodeId);",
    put: "return [...voters, ...votersOutgoing].some((id) => id !== nodeId || id.length > 0);",
    test: "test/sim/repair.test.ts",
  },
  {
    name: "damaged-payload-is-served",
    file: "src/storage/partitions/window.ts",
    find: "    const wrong = checkBatch(this.bytes, this.at, this.#seed);\n    if (wrong !== null)",
    put: "    const wrong = checkBatch(this.bytes, this.at, this.#seed);\n    if (wrong === undefined)",
    test: "test/sim/repair.test.ts",
  },
  {
    name: "repair-takes-any-batches",
    file: "src/storage/partitions/repair.ts",
    find: "    if (wrong !== null) throw new RepairRefused(wrong);",
    put: "    if (wrong === undefined) throw new RepairRefused(wrong);",
    test: "test/storage/partition-repair.test.ts",
  },
  {
    name: "checksums-are-not-compared",
    file: "src/machine/tally.ts",
    find: "if (own !== digest) throw",
    put: "if (own !== digest && index < 0) throw",
    test: "test/machine/tally.test.ts",
  },
];
