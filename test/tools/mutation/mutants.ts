/**
 * Seeded bugs: each is the product with one piece of its text exchanged while it is loaded, so the
 * product itself knows nothing of them. The names are those of the reliability plan.
 */
import { RAFT_MUTANTS } from "./mutants-raft.ts";
import { REPAIR_MUTANTS } from "./mutants-repair.ts";
import { STORAGE_MUTANTS } from "./mutants-storage.ts";

export type Edit = { readonly file: string; readonly find: string; readonly put: string };

export type Mutant = Edit & {
  readonly name: string;
  /** A bug that takes more than one place. */
  readonly and?: readonly Edit[];
  /** Found by these tests, where seeds take too long: the situation is too rare for them. */
  readonly test?: string;
};

/**
 * Three names of the plan have no meaning here. `config-not-reverted`: membership takes effect when
 * it is applied (`change-in-force-before-its-commit-is-durable` is its counterpart).
 * `lease-read-after-pause`: there are no leases; the mutant of that name adds one.
 * `hash-order-iteration-in-apply`: maps are in the order of insertion, alike on all nodes, and what
 * `apply` walks is sorted or counts as absent already (`kv/commands/expire.ts`).
 */
export const MUTANTS: readonly Mutant[] = [
  ...RAFT_MUTANTS,
  ...REPAIR_MUTANTS,
  ...STORAGE_MUTANTS,
  {
    name: "vote-not-persisted",
    file: "src/node/replica/shard.ts",
    find: "if (last !== null) await this.#hardState.save(last, { commit });",
    put: "void last; void commit;",
  },
  {
    name: "reply-before-fsync",
    file: "src/raft/drain.ts",
    find: "    messages: out.messages,\n    messagesAfterPersist: out.held,",
    put: "    messages: [...out.messages, ...out.held],\n    messagesAfterPersist: [],",
  },
  {
    name: "own-ack-before-own-fsync",
    file: "src/raft/leader.ts",
    find: "(id === raft.id ? raft.log.durable :",
    put: "(id === raft.id ? raft.log.lastIndex :",
  },
  {
    name: "commit-old-term-by-count",
    file: "src/raft/replication.ts",
    find: "if (held <= log.commit || log.termAt(held) !== raft.term) return false;",
    put: "if (held <= log.commit) return false;",
    test: "test/raft",
  },
  {
    name: "follower-commit=lastIndex",
    file: "src/raft/follower.ts",
    find: "log.commitTo(minIndex(message.commit, end));",
    put: "log.commitTo(minIndex(message.commit, log.lastIndex));",
  },
  {
    name: "truncate-on-shorter-append",
    file: "src/raft/follower.ts",
    find: "const conflict = log.findConflict(message.entries);",
    put: "const conflict = message.entries[0] ?? null;",
    test: "test/raft",
  },
  {
    name: "no-noop",
    file: "src/raft/leader.ts",
    find: 'changeRole(raft, leader);\n  append(raft, leader, "normal", NO_DATA);',
    put: "changeRole(raft, leader);",
    test: "test/raft",
  },
  {
    name: "vote-ignores-log",
    file: "src/raft/step.ts",
    find: "const granted = mayVote && isComplete;",
    put: "const granted = mayVote && isComplete !== null;",
  },
  {
    name: "two-votes-in-a-term",
    file: "src/raft/step.ts",
    find: "raft.vote === message.from ||",
    put: "!isPre ||",
  },
  {
    name: "readindex-before-noop",
    file: "src/raft/replication.ts",
    find: "if (!hasCommittedInTerm(raft)) {\n    leader.reads.postpone(request);\n    return;\n  }",
    put: "",
  },
  {
    name: "readindex-without-quorum",
    file: "src/raft/replication.ts",
    find: "id === raft.id ? leader.reads.lastRound : (leader.progress.get(id)?.ackedRound ?? 0)",
    put: "leader.reads.lastRound + id.length * 0",
    test: "test/raft",
  },
  {
    name: "aba-persist-token",
    file: "src/raft/write-queue.ts",
    find: "if (write.lastIndex >= index) write.lastIndex",
    put: "if (write.lastIndex < 0) write.lastIndex",
    test: "test/raft",
  },
  {
    name: "stale-append-response-accepted",
    file: "src/raft/leader.ts",
    find: "const isNews = progress.maybeUpdate(match);",
    put: "progress.match = raft.log.lastIndex; const isNews = true;",
  },
  {
    name: "amnesia-allowed",
    file: "src/raft/storage-trust.ts",
    find: '  if (!peer.isAhead) return "replaced";\n',
    put: '  if (!peer.isAhead) return "accepted";\n',
  },
  {
    name: "removed-node-let-in",
    file: "src/transport/shared.ts",
    find: "if (membershipVersion <= this.membershipInfo().membershipVersion) return;",
    put: "",
    test: "test/transport/links.test.ts",
  },
  {
    name: "any-clock-believed-at-once",
    file: "src/node/replica/cluster-time.ts",
    find: "if (!this.#settled) {\n      this.#settled = true;",
    put: "{\n      this.#settled = true;",
    test: "test/node/cluster-time.test.ts",
  },
  {
    name: "own-clock-is-the-cluster's",
    file: "src/node/replica/cluster-time.ts",
    find: "if (ids.length === 1 && ids[0] === self) return ownMs;",
    put: "if (ids.length > 0 || ids[0] === self) return ownMs;",
    test: "test/node/cluster-time.test.ts",
  },
  {
    name: "unknown-learner-promoted",
    file: "src/node/peers/membership.ts",
    find: "if (match === 0) return",
    put: "if (match < 0) return",
    test: "test/sim/promotion.test.ts",
  },
  {
    name: "bootstrap-on-wiped-disk",
    file: "src/node/peers/bootstrap.ts",
    find: "if (there === members.length) return true;",
    put: "return true;",
    test: "test/sim/founding.test.ts",
  },
  {
    name: "founding-without-majority",
    file: "src/node/peers/bootstrap.ts",
    find: "if (there * 2 <= members.length) {",
    put: "if (there < 1) {",
    test: "test/sim/founding.test.ts",
  },
  {
    name: "founders-disks-not-recorded",
    file: "src/node/peers/cluster.ts",
    find: "incarnation: known.get(member.id) ?? null }",
    put: "incarnation: null }",
    test: "test/sim/founding.test.ts",
  },
  {
    name: "snapshot-drops-idempotency",
    file: "src/machine/snapshot-restorer.ts",
    find: "dedupe.pushDigests(digests, at, firstOffset, count);",
    put: "void [digests, firstOffset, count];",
  },
  {
    name: "snapshot-drops-ttl-clock",
    file: "src/machine/snapshot-restorer.ts",
    find: "this.#now = reader.u64() as Millis;",
    put: "reader.u64();",
  },
  {
    name: "old-snapshot-not-answered",
    file: "src/node/peers/snapshots.ts",
    find: "this.#options.decline(message);",
    put: "",
    test: "test/node/snapshots.test.ts",
  },
  {
    name: "commit-offset-regress",
    file: "src/broker/commands/commit-offset.ts",
    find: "if (before !== undefined && offset <= before) {",
    put: "if (before !== undefined && offset === before) {",
  },
  {
    name: "dedupe-ignored",
    file: "src/broker/commands/produce.ts",
    find: "if (sequence >= 0) return duplicateOf",
    put: "if (sequence < -1) return duplicateOf",
  },
  {
    name: "dedupe-at-propose",
    file: "src/broker/commands/produce.ts",
    find: "if (sequence >= 0) return duplicateOf",
    put: "if (sequence < -1) return duplicateOf",
    and: [
      {
        file: "src/node/writes/producer.ts",
        find: "    if (idempotency !== null) waiter.expectKey(this.#known(partition, idempotency));",
        put: "    const known = idempotency === null ? null : this.#known(partition, idempotency);\n    if (known !== null) waiter.expectKey(known);\n    if (known !== null && known.first !== null) {\n      const late = { batchId: 0, synced: true, ackedBy: 2, queueUs: 0, syncWaitUs: 0 };\n      return Promise.resolve({ ok: true, partition: number, ...known.first, duplicate: true, payloadMatches: true, ...late });\n    }",
      },
    ],
  },
  {
    name: "housekeeping-refused-by-a-full-queue",
    file: "src/node/writes/commander.ts",
    find: "if (this.#queue.refusal !== null) return;",
    put: "if (this.#queue.admit(0) !== null) return;",
    test: "test/node/proposer.test.ts",
  },
  {
    name: "disk-is-known-when-applied",
    file: "src/node/peers/known-disks.ts",
    find: "    this.#records = records;\n    this.#scan(entries);",
    put: "    this.#records = records;\n    void entries;",
    and: [
      {
        file: "src/raft/storage-trust.ts",
        find: "  recorded !== null && recorded === shown;",
        put: "  recorded !== shown || recorded === shown;",
      },
    ],
    test: "test/sim/lost-disks.test.ts",
  },
  {
    name: "vote-of-an-unknown-disk-counts",
    file: "src/raft/storage-trust.ts",
    find: "  recorded !== null && recorded === shown;",
    put: "  recorded === null || recorded === shown;",
    test: "test/sim/lost-disks.test.ts",
  },
  {
    name: "cas-reset-after-delete",
    file: "src/kv/commands/delete.ts",
    find: "    state.bytes -= namespace.keys.remove(key);",
    put: "    state.bytes -= namespace.keys.remove(key);\n    namespace.revision = 0;",
  },
  {
    name: "cas-not-checked",
    file: "src/kv/commands/put.ts",
    find: "if (cas !== current) return",
    put: "if (cas > current) return",
  },
  {
    name: "write-concern-1-reports-replicated",
    file: "src/node/writes/completions.ts",
    find: "if (!this.#answersAppended) return;",
    put: "",
  },
  {
    name: "delete-before-not-replicated",
    file: "src/broker/commands/delete-before.ts",
    find: "if (beforeOffset <= partition.lowWatermark) {",
    put: "if (beforeOffset >= 0) {",
  },
  {
    name: "mid-log-crc-treated-as-tail",
    file: "src/storage/journal/recovery.ts",
    find: "    throw new JournalDamaged({",
    put: "    if (Number(0) === 0) return;\n    throw new JournalDamaged({",
    test: "test/storage/journal-damage.test.ts",
  },
];
