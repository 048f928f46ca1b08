/**
 * Names of the fault points: places where a mutation test injects a fault into the product. A fault
 * point is an expression in the code that the fault is about:
 *
 *     import { feature as faultPoint } from "bun:bundle";
 *     if (log.termAt(held) !== raft.term && !faultPoint("commit-old-term-by-count")) return false;
 *
 * Bun replaces each call by `true` or `false` while it loads or bundles the file, and removes the
 * branch that is left without use. A build is made without features, so it contains no fault and
 * spends no time on one. `bun test --feature=NAME` and `bun --feature=NAME FILE` switch one on.
 *
 * A call may stand in the condition of an `if` or of a ternary only. `test/tools/mutation/faults.ts`
 * says what finds each fault; decision 0051 says why it is done this way.
 */
type FaultPoint =
  // Queues and schedules (`src/queue`, `src/later`).
  | "late-ack-counts"
  | "attempts-begin-anew"
  | "queue-ignores-retention"
  | "keys-do-not-wait"
  | "in-flight-without-bound"
  | "snapshot-forgets-leases"
  | "snapshot-forgets-redrive"
  | "slot-fires-twice"
  | "scheduled-delivered-twice"
  | "schedule-id-taken-twice"
  | "redrive-moves-twice"
  | "redrive-plan-counts-nothing"
  | "deleted-records-block-keys"
  | "deleted-records-stay-items"
  | "acks-get-the-results-of-others"
  // Webhooks (`src/webhook`, `src/node/webhooks`).
  | "webhook-pauses-are-ignored"
  | "webhook-acknowledges-before-it-sends"
  | "webhook-counts-lost-answers"
  | "webhook-records-are-in-no-order"
  | "webhook-filters-are-ignored"
  | "webhook-id-changes-with-attempts"
  | "snapshot-forgets-pauses"
  // Exports (`src/export`, `src/node/exports`).
  | "export-range-decided-twice"
  | "export-file-committed-twice"
  | "export-changes-an-open-range"
  | "export-loss-not-counted"
  | "manifest-decided-twice"
  | "export-file-counts-before-it-is-stored"
  | "export-files-given-up-stay"
  | "export-pointer-set-back"
  // Forwarded writes (`src/node/forward`).
  | "forwarded-frames-executed-twice"
  | "forwards-again-after-an-unknown-outcome"
  | "forwards-without-a-window"
  | "forwarded-waits-outlive-their-link"
  | "member-pages-skip-lost-records"
  // Linearizable reads (`src/node/reads`).
  | "read-joins-a-question-under-way"
  // Durable streams (`src/durable`, `src/node/durable`).
  | "stream-duplicates-are-stored"
  | "stream-producers-missing-in-snapshots"
  | "closed-streams-take-appends"
  | "stream-tokens-of-earlier-lives-hold"
  | "stream-end-of-this-node"
  // Consensus (`src/raft`).
  | "read-confirmed-by-one-half"
  | "read-joins-a-round-under-way"
  | "elected-by-one-half"
  | "prevote-ignores-log"
  | "stickiness-off"
  | "checkquorum-off"
  | "lease-read-after-pause"
  | "readindex-id-reused"
  | "readindex-round-reused"
  | "inflight-leak"
  | "conflict-hint-off-by-one"
  | "two-changes-in-flight"
  | "change-before-own-term-committed"
  | "change-in-force-before-its-commit-is-durable"
  | "learner-counts"
  | "removed-node-votes"
  | "transfer-without-catch-up"
  | "priority-overrides-log-check"
  | "expose-uncommitted"
  | "marker-ignored-by-votes"
  | "loss-report-not-answered"
  | "truncated-node-campaigns"
  | "cut-journal-believes-its-commit-index"
  | "marker-removed-by-length"
  | "nothing-kept-behind-a-snapshot-on-its-way"
  | "reply-before-fsync"
  | "own-ack-before-own-fsync"
  | "commit-old-term-by-count"
  | "follower-commit-last-index"
  | "truncate-on-shorter-append"
  | "no-noop"
  | "vote-ignores-log"
  | "two-votes-in-a-term"
  | "readindex-before-noop"
  | "readindex-without-quorum"
  | "aba-persist-token"
  | "stale-append-response-accepted"
  | "amnesia-allowed"
  | "vote-of-an-unknown-disk-counts"
  // Groups (`src/groups`).
  | "group-commit-not-fenced"
  | "group-hand-over-in-one-step"
  | "group-generation-stays"
  | "group-partitions-left-without-owner"
  | "group-leases-never-end"
  | "group-seek-keeps-generation"
  | "group-old-generation-commits"
  | "group-join-goes-on-behind-lost-answers"
  | "group-reads-outlive-a-join"
  | "group-reads-give-nothing-up"
  | "group-reads-do-not-renew"
  // Files (`src/storage`).
  | "damaged-payload-is-served"
  | "repair-takes-any-batches"
  | "shared-file-not-synced"
  | "moved-piece-is-named-unwritten"
  | "durable-watermark-missing"
  | "dir-fsync-missing"
  | "fsync-error-retried"
  | "torn-vote-slot-defaults-to-zero"
  | "vote-slots-torn-together"
  | "snapshot-not-atomic"
  | "log-not-reset-after-snapshot"
  | "released-before-the-next-is-durable"
  | "flip-taken-for-torn"
  | "flip-reports-too-little"
  | "compact-too-far"
  | "mid-log-crc-treated-as-tail"
  // The node: replica, writes, peers, maintenance (`src/node`).
  | "merged-write-keeps-what-was-overwritten"
  | "commit-mark-of-the-last-write-only"
  | "journal-of-a-node-alone-is-cut"
  | "merged-write-keeps-last"
  | "journal-kept-without-limit"
  | "kept-on-a-full-disk"
  | "kept-until-the-next-checkpoint"
  | "kept-for-who-cannot-be-reached"
  | "restart-forgets-the-log-before-its-checkpoint"
  | "vote-not-persisted"
  | "any-clock-believed-at-once"
  | "own-clock-is-cluster-clock"
  | "unknown-learner-promoted"
  | "bootstrap-on-wiped-disk"
  | "bootstrap-without-majority"
  | "first-disks-not-recorded"
  | "old-snapshot-not-answered"
  | "housekeeping-refused-by-a-full-queue"
  | "disk-is-known-when-applied"
  | "write-concern-1-reports-replicated"
  | "unsynced-keys-ignore-writes-in-flight"
  // Links between nodes (`src/transport`).
  | "unproven-peers-count"
  | "removed-node-let-in"
  // System calls (`src/env`).
  | "short-write-ignored"
  // The replicated state (`src/machine`).
  | "checksums-are-not-compared"
  | "snapshot-drops-idempotency"
  | "snapshot-drops-ttl-clock"
  // Topics and offsets (`src/broker`).
  | "commit-offset-regress"
  | "dedupe-ignored"
  | "dedupe-at-propose"
  | "producer-duplicates-are-stored"
  | "producer-gaps-are-stored"
  | "stale-epochs-are-stored"
  | "producers-missing-in-snapshots"
  | "producers-outlive-their-topic"
  | "delete-before-not-replicated"
  // Keys (`src/kv`).
  | "cas-reset-after-delete"
  | "cas-not-checked";

declare module "bun:bundle" {
  interface Registry {
    features: FaultPoint;
  }
}
