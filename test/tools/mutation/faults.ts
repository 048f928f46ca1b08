/**
 * Names what finds each fault that the product can inject (`src/lib/fault-points.d.ts`): "seeds" of
 * the simulator, or a test where the situation is too rare for seeds. The compiler checks that no
 * fault point is left out.
 *
 * Three names of the reliability plan have no meaning here:
 * - `config-not-reverted`: membership takes effect when it is applied. Its counterpart is
 *   `change-in-force-before-its-commit-is-durable`.
 * - `lease-read-after-pause`: there are no leases. The fault of that name adds one.
 * - `hash-order-iteration-in-apply`: maps are in the order of insertion on all nodes, and what
 *   `apply` walks is sorted or counts as absent already (`kv/commands/expire.ts`).
 */
import type { Registry } from "bun:bundle";

export type FaultPoint = Registry["features"];

export const FOUND_BY: Readonly<Record<FaultPoint, string>> = {
  // src/queue, src/later
  "late-ack-counts": "test/queue/model.test.ts",
  "attempts-begin-anew": "test/queue/model.test.ts",
  "queue-ignores-retention": "test/queue/model.test.ts",
  "keys-do-not-wait": "test/queue/model.test.ts",
  "in-flight-without-bound": "test/queue/model.test.ts",
  "snapshot-forgets-leases": "test/queue/model.test.ts",
  "snapshot-forgets-redrive": "test/queue/redrive.test.ts",
  "slot-fires-twice": "test/later/state.test.ts",
  "scheduled-delivered-twice": "test/later/state.test.ts",
  "schedule-id-taken-twice": "test/later/state.test.ts",
  "redrive-moves-twice": "test/queue/redrive.test.ts",
  "redrive-plan-counts-nothing": "test/queue/redrive.test.ts",
  "deleted-records-block-keys": "test/sim/queue-removed.test.ts",
  "deleted-records-stay-items": "test/node/queue-sweeper.test.ts",
  "acks-get-the-results-of-others": "test/sim/queue-turns.test.ts",
  // src/export
  "export-range-decided-twice": "test/export/state.test.ts",
  "export-file-committed-twice": "test/export/state.test.ts",
  "export-changes-an-open-range": "test/export/state.test.ts",
  "export-loss-not-counted": "test/export/state.test.ts",
  "manifest-decided-twice": "test/export/state.test.ts",
  // src/node/forward
  "forwarded-frames-executed-twice": "test/node/forward.test.ts",
  "forwards-again-after-an-unknown-outcome": "test/node/forward.test.ts",
  "forwards-without-a-window": "test/node/forward.test.ts",
  // src/node/reads
  "read-joins-a-question-under-way": "test/node/linearizer.test.ts",
  // src/durable, src/node/durable
  "stream-duplicates-are-stored": "test/sim/streams.test.ts",
  "stream-producers-missing-in-snapshots": "test/sim/streams.test.ts",
  "closed-streams-take-appends": "test/sim/streams.test.ts",
  "stream-tokens-of-earlier-lives-hold": "test/sim/streams.test.ts",
  "stream-end-of-this-node": "test/sim/streams.test.ts",
  // src/raft
  "read-confirmed-by-one-half": "test/raft/joint.test.ts",
  "read-joins-a-round-under-way": "test/raft/read-index.test.ts",
  "elected-by-one-half": "test/raft/joint.test.ts",
  "prevote-ignores-log": "test/raft",
  "stickiness-off": "test/raft",
  "checkquorum-off": "test/raft",
  "lease-read-after-pause": "test/raft",
  "readindex-id-reused": "test/raft",
  "readindex-round-reused": "test/raft",
  "inflight-leak": "test/raft",
  "conflict-hint-off-by-one": "test/raft",
  "two-changes-in-flight": "test/raft",
  "change-before-own-term-committed": "test/raft",
  "change-in-force-before-its-commit-is-durable": "test/raft",
  "learner-counts": "test/raft",
  "removed-node-votes": "test/raft",
  "transfer-without-catch-up": "test/raft",
  "priority-overrides-log-check": "seeds",
  "expose-uncommitted": "seeds",
  "marker-ignored-by-votes": "test/raft/truncated-log.test.ts",
  "loss-report-not-answered": "test/raft/truncated-log.test.ts",
  "truncated-node-campaigns": "test/raft/truncated-log.test.ts",
  "cut-journal-believes-its-commit-index": "test/raft/cluster.test.ts",
  "marker-removed-by-length": "test/raft/truncated-log.test.ts",
  "nothing-kept-behind-a-snapshot-on-its-way": "test/sim/lag.test.ts",
  "reply-before-fsync": "seeds",
  "own-ack-before-own-fsync": "seeds",
  "commit-old-term-by-count": "test/raft",
  "follower-commit-last-index": "seeds",
  "truncate-on-shorter-append": "test/raft",
  "no-noop": "test/raft",
  "vote-ignores-log": "seeds",
  "two-votes-in-a-term": "seeds",
  "readindex-before-noop": "seeds",
  "readindex-without-quorum": "test/raft",
  "aba-persist-token": "test/raft",
  "stale-append-response-accepted": "seeds",
  "amnesia-allowed": "seeds",
  "vote-of-an-unknown-disk-counts": "test/sim/lost-disks.test.ts",
  // src/storage
  "damaged-payload-is-served": "test/sim/repair.test.ts",
  "repair-takes-any-batches": "test/storage/partition-repair.test.ts",
  "shared-file-not-synced": "test/storage/shared-crash.test.ts",
  "moved-piece-is-named-unwritten": "test/storage/shared-crash.test.ts",
  "durable-watermark-missing": "test/storage/journal-damage.test.ts",
  "dir-fsync-missing": "test/storage/journal-crash.test.ts",
  "fsync-error-retried": "test/node/disk-errors.test.ts",
  "torn-vote-slot-defaults-to-zero": "test/storage/hard-state.test.ts",
  "vote-slots-torn-together": "test/storage/hard-state.test.ts",
  "snapshot-not-atomic": "test/storage/snapshot-install.test.ts",
  "log-not-reset-after-snapshot": "seeds",
  "released-before-the-next-is-durable": "test/storage/journal.test.ts",
  "flip-taken-for-torn": "test/storage/journal-damage.test.ts",
  "flip-reports-too-little": "test/storage/journal-damage.test.ts",
  "compact-too-far": "seeds",
  "mid-log-crc-treated-as-tail": "test/storage/journal-damage.test.ts",
  // src/node
  "merged-write-keeps-what-was-overwritten": "test/node/shard.test.ts",
  "commit-mark-of-the-last-write-only": "test/node/shard.test.ts",
  "journal-of-a-node-alone-is-cut": "test/sim/repair.test.ts",
  "merged-write-keeps-last": "seeds",
  "journal-kept-without-limit": "test/sim/lag.test.ts",
  "kept-on-a-full-disk": "test/sim/lag.test.ts",
  "kept-until-the-next-checkpoint": "test/sim/lag.test.ts",
  "kept-for-who-cannot-be-reached": "test/sim/lag.test.ts",
  "restart-forgets-the-log-before-its-checkpoint": "test/sim/lag.test.ts",
  "vote-not-persisted": "seeds",
  "any-clock-believed-at-once": "test/node/cluster-time.test.ts",
  "own-clock-is-cluster-clock": "test/node/cluster-time.test.ts",
  "unknown-learner-promoted": "test/sim/promotion.test.ts",
  "bootstrap-on-wiped-disk": "test/sim/bootstrap.test.ts",
  "bootstrap-without-majority": "test/sim/bootstrap.test.ts",
  "first-disks-not-recorded": "test/sim/bootstrap.test.ts",
  "old-snapshot-not-answered": "test/node/snapshots.test.ts",
  "housekeeping-refused-by-a-full-queue": "test/node/proposer.test.ts",
  "disk-is-known-when-applied": "test/sim/lost-disks.test.ts",
  "write-concern-1-reports-replicated": "seeds",
  "unsynced-keys-ignore-writes-in-flight": "test/sim/kv-timeouts.test.ts",
  // src/transport
  "unproven-peers-count": "test/transport/secret.test.ts",
  "removed-node-let-in": "test/transport/links.test.ts",
  // src/env
  "short-write-ignored": "test/env/bun-disk.test.ts",
  // src/machine
  "checksums-are-not-compared": "test/machine/state-checksum.test.ts",
  "snapshot-drops-idempotency": "seeds",
  "snapshot-drops-ttl-clock": "seeds",
  // src/broker
  "commit-offset-regress": "seeds",
  "dedupe-ignored": "seeds",
  "dedupe-at-propose": "seeds",
  "producer-duplicates-are-stored": "test/sim/producers.test.ts",
  "producer-gaps-are-stored": "test/sim/producers.test.ts",
  "stale-epochs-are-stored": "test/sim/producers.test.ts",
  "producers-missing-in-snapshots": "test/sim/producers.test.ts",
  "producers-outlive-their-topic": "test/broker/producers.test.ts",
  "delete-before-not-replicated": "seeds",
  // src/groups
  "group-commit-not-fenced": "test/groups/history.test.ts",
  "group-hand-over-in-one-step": "test/groups/history.test.ts",
  "group-generation-stays": "test/groups/history.test.ts",
  "group-partitions-left-without-owner": "test/sim/groups.test.ts",
  "group-leases-never-end": "test/sim/groups.test.ts",
  "group-seek-keeps-generation": "test/sim/groups.test.ts",
  "group-old-generation-commits": "test/sim/groups.test.ts",
  "group-join-goes-on-behind-lost-answers": "test/sim/groups.test.ts",
  "group-reads-give-nothing-up": "test/node/group-members.test.ts",
  "group-reads-do-not-renew": "test/sim/groups.test.ts",
  // src/kv
  "cas-reset-after-delete": "seeds",
  "cas-not-checked": "seeds",
};
