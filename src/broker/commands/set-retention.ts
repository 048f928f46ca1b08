import { type CommandKind, knownFlags } from "../../lib/command-kind.ts";
import { EVERY_TOPIC } from "../retention.ts";
import {
  type BrokerRejected,
  type BrokerState,
  beforeChange,
  type HasBroker,
  type LevelPolicy,
  PartitionState,
  rejected,
  TopicState,
} from "../state.ts";

export type SetRetention = {
  readonly type: "set_retention";
  /** `"*"` for every topic, including topics created later. */
  readonly topic: string;
  readonly partition: number | null;
  /** Null leaves the limit unchanged, 0 disables it at this level. */
  readonly ttlMs: number | null;
  readonly maxBytes: number | null;
};

export type SetRetentionResult =
  | {
      readonly ok: true;
      readonly type: "set_retention";
      readonly ttlApplied: boolean;
      readonly sizeApplied: boolean;
    }
  | BrokerRejected<"topic_not_found" | "partition_not_found">;

export function applySetRetention(state: BrokerState, command: SetRetention): SetRetentionResult {
  const level = levelOf(state, command);
  if ("ok" in level) return level;
  const { ttlMs, maxBytes } = command;
  if (ttlMs !== null || maxBytes !== null) {
    state.retentionRevision++;
    beforePolicyChange(state, level);
    level.policy = {
      ttlMs: ttlMs ?? level.policy.ttlMs,
      maxBytes: maxBytes ?? level.policy.maxBytes,
      revision: state.retentionRevision,
    };
  }
  return {
    ok: true,
    type: "set_retention",
    ttlApplied: ttlMs !== null,
    sizeApplied: maxBytes !== null,
  };
}

/** The level that has the policy. */
export function levelOf(
  state: BrokerState,
  command: { readonly topic: string; readonly partition: number | null },
): { policy: LevelPolicy } | BrokerRejected<"topic_not_found" | "partition_not_found"> {
  const { topic, partition } = command;
  if (topic === EVERY_TOPIC) return partition === null ? state : rejected("partition_not_found");
  const named = state.topicsByName.get(topic);
  if (named === undefined) return rejected("topic_not_found");
  if (partition === null) return named;
  return named.partitions[partition] ?? rejected("partition_not_found");
}

/** Must be called before the policy of a level is replaced. */
export function beforePolicyChange(state: BrokerState, level: { policy: LevelPolicy }): void {
  if (level instanceof PartitionState) beforeChange(state, level);
  if (level instanceof TopicState) for (const one of state.captures) one.policyChanges(level);
}

const HAS_PARTITION = 1;
const HAS_TTL = 2;
const HAS_MAX_BYTES = 4;

export const setRetention: CommandKind<SetRetention, SetRetentionResult, HasBroker> = {
  type: "set_retention",
  tag: 7,
  summaryId: 10,
  encode(body, { topic, partition, ttlMs, maxBytes }) {
    body.text(topic);
    body.u8(
      (partition === null ? 0 : HAS_PARTITION) |
        (ttlMs === null ? 0 : HAS_TTL) |
        (maxBytes === null ? 0 : HAS_MAX_BYTES),
    );
    if (partition !== null) body.varint(partition);
    if (ttlMs !== null) body.varint(ttlMs);
    if (maxBytes !== null) body.varint(maxBytes);
  },
  decode(body) {
    const topic = body.text();
    const flags = knownFlags(body.u8(), HAS_PARTITION | HAS_TTL | HAS_MAX_BYTES);
    return {
      type: "set_retention",
      topic,
      partition: (flags & HAS_PARTITION) === 0 ? null : body.varint(),
      ttlMs: (flags & HAS_TTL) === 0 ? null : body.varint(),
      maxBytes: (flags & HAS_MAX_BYTES) === 0 ? null : body.varint(),
    };
  },
  apply: ({ broker }, command) => applySetRetention(broker, command),
};
