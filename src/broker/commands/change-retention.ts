import { knownFlags, type LeveledKind } from "../../lib/command-kind.ts";
import type { BrokerRejected, BrokerState, HasBroker } from "../state.ts";
import { beforePolicyChange, levelOf } from "./set-retention.ts";

/** A limit to set, where 0 disables it at this level. `inherit`: that of the next level applies. */
export type LimitChange = number | "keep" | "inherit";

/** The same as `set_retention`, and it can also remove a limit. */
export type ChangeRetention = {
  readonly type: "change_retention";
  /** `"*"` for every topic, including topics created later. */
  readonly topic: string;
  readonly partition: number | null;
  readonly ttlMs: LimitChange;
  readonly maxBytes: LimitChange;
};

export type ChangeRetentionResult =
  | { readonly ok: true; readonly type: "change_retention" }
  | BrokerRejected<"topic_not_found" | "partition_not_found">;

export function applyChangeRetention(
  state: BrokerState,
  command: ChangeRetention,
): ChangeRetentionResult {
  const level = levelOf(state, command);
  if ("ok" in level) return level;
  // The revision stays with a policy without limits: a trim under the former one must be ignored.
  state.retentionRevision++;
  beforePolicyChange(state, level);
  level.policy = {
    ttlMs: changed(level.policy.ttlMs, command.ttlMs),
    maxBytes: changed(level.policy.maxBytes, command.maxBytes),
    revision: state.retentionRevision,
  };
  return { ok: true, type: "change_retention" };
}

function changed(before: number | null, change: LimitChange): number | null {
  if (change === "keep") return before;
  return change === "inherit" ? null : change;
}

const HAS_PARTITION = 1;
const SETS_TTL = 2;
const SETS_MAX_BYTES = 4;
const INHERITS_TTL = 8;
const INHERITS_MAX_BYTES = 16;
const FLAGS = HAS_PARTITION | SETS_TTL | SETS_MAX_BYTES | INHERITS_TTL | INHERITS_MAX_BYTES;

/** Lowest level of the log that has this command. */
const LEVEL = 2;

export const changeRetention: LeveledKind<ChangeRetention, ChangeRetentionResult, HasBroker> = {
  type: "change_retention",
  tag: 20,
  level: LEVEL,
  feature: "Retention limits that inherit again",
  encode(body, { topic, partition, ttlMs, maxBytes }) {
    body.text(topic);
    body.u8(
      (partition === null ? 0 : HAS_PARTITION) |
        flagOf(ttlMs, SETS_TTL, INHERITS_TTL) |
        flagOf(maxBytes, SETS_MAX_BYTES, INHERITS_MAX_BYTES),
    );
    for (const value of [partition, ttlMs, maxBytes]) {
      if (typeof value === "number") body.varint(value);
    }
  },
  decode(body) {
    const topic = body.text();
    const flags = knownFlags(body.u8(), FLAGS);
    const limit = (sets: number, inherits: number): LimitChange => {
      if ((flags & sets) !== 0) return body.varint();
      return (flags & inherits) === 0 ? "keep" : "inherit";
    };
    return {
      type: "change_retention",
      topic,
      partition: (flags & HAS_PARTITION) === 0 ? null : body.varint(),
      ttlMs: limit(SETS_TTL, INHERITS_TTL),
      maxBytes: limit(SETS_MAX_BYTES, INHERITS_MAX_BYTES),
    };
  },
  apply: ({ broker }, command) => applyChangeRetention(broker, command),
};

function flagOf(change: LimitChange, sets: number, inherits: number): number {
  if (change === "keep") return 0;
  return change === "inherit" ? inherits : sets;
}
