/** Seeded bugs of what heals damage, and of what looks for it. */
import type { Mutant } from "./mutants.ts";

export const REPAIR_MUTANTS: readonly Mutant[] = [
  {
    name: "marker-ignored-by-votes",
    file: "src/raft/truncated-log.ts",
    find: "marker === null || reaches(marker, index, term);",
    put: "marker === null || index >= 0 || term >= 0;",
    test: "test/raft/truncated-log.test.ts",
  },
  {
    name: "loss-report-not-answered",
    file: "src/raft/leader.ts",
    find: "if ((lost && progress.maybeForget(hint)) || isLossReport) {",
    put: "if (lost && progress.maybeForget(hint)) {",
    test: "test/raft/truncated-log.test.ts",
  },
  {
    name: "truncated-node-campaigns",
    file: "src/raft/election.ts",
    find: "log.pendingSnapshot === null && marker === null;",
    put: "log.pendingSnapshot === null && marker !== undefined;",
    test: "test/raft/truncated-log.test.ts",
  },
  {
    name: "cut-journal-believes-its-commit-index",
    file: "src/raft/core.ts",
    find: "const known = (initial.marker ?? null) === null ? initial.hardState?.commit : undefined;",
    put: "const known = initial.hardState?.commit;",
    test: "test/raft/cluster.test.ts",
  },
  {
    name: "marker-removed-by-length",
    file: "src/raft/truncated-log.ts",
    find: "minIndex(maxIndex(marker.verified, log.commit), log.durable)",
    put: "minIndex(log.lastIndex, log.durable)",
    test: "test/raft/truncated-log.test.ts",
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
    file: "src/machine/state-checksum.ts",
    find: "if (own !== digest) throw",
    put: "if (own !== digest && index < 0) throw",
    test: "test/machine/state-checksum.test.ts",
  },
];
