import {
  type BrokerState,
  type LevelPolicy,
  NO_POLICY,
  type PartitionState,
  type TopicState,
} from "./state.ts";

/** The limits of one partition; null means no limit. */
export type EffectiveRetention = {
  readonly ttlMs: number | null;
  readonly maxBytes: number | null;
  /**
   * Changes whenever `ttlMs` or `maxBytes` does (and sometimes without). A `trim` carries the one
   * that it was computed under, and is ignored when another is in force.
   */
  readonly revision: number;
};

/** One policy as it was set. Null means not set at this level; 0 means disabled. */
export type RetentionSetting = {
  readonly topic: string;
  readonly partition: number | null;
  readonly ttlMs: number | null;
  readonly maxBytes: number | null;
};

/** The topic name for all topics, including topics created later. */
export const EVERY_TOPIC = "*";

const NO_RETENTION: EffectiveRetention = { ttlMs: null, maxBytes: null, revision: 0 };

/** The most specific level wins, for each field on its own. Unknown partitions have no limits. */
export function effectiveRetention(
  state: BrokerState,
  topicId: number,
  partition: number,
): EffectiveRetention {
  const topic = state.topicsById.get(topicId);
  const own = topic?.partitions[partition];
  if (topic === undefined || own === undefined) return NO_RETENTION;
  return {
    ttlMs: limitOf(own.policy.ttlMs ?? topic.policy.ttlMs ?? state.policy.ttlMs),
    maxBytes: limitOf(own.policy.maxBytes ?? topic.policy.maxBytes ?? state.policy.maxBytes),
    revision: revisionOf(state, topic.policy, own),
  };
}

/** The policies as they were set: `"*"`, then topics by name, each before its partitions. */
export function listRetention(state: BrokerState): RetentionSetting[] {
  const settings: RetentionSetting[] = [];
  addSetting(settings, EVERY_TOPIC, null, state.policy);
  // Very many topics have no policy, so only those with one are sorted.
  const named = [...state.userTopics.values()].filter(hasPolicy);
  named.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, policy: own, partitions } of named) {
    addSetting(settings, name, null, own);
    for (const { partition, policy } of partitions) addSetting(settings, name, partition, policy);
  }
  return settings;
}

const hasPolicy = ({ policy, partitions }: TopicState): boolean =>
  policy !== NO_POLICY || partitions.some((each) => each.policy !== NO_POLICY);

/**
 * Revisions come from one counter, and a change at any level takes the next one: so the highest of
 * the three levels changes with each change that can touch the partition.
 */
const revisionOf = (state: BrokerState, topic: LevelPolicy, own: PartitionState): number =>
  Math.max(state.policy.revision, topic.revision, own.policy.revision);

const limitOf = (value: number | null): number | null => (value === 0 ? null : value);

function addSetting(
  to: RetentionSetting[],
  topic: string,
  partition: number | null,
  policy: LevelPolicy,
): void {
  if (policy === NO_POLICY) return;
  if (policy.ttlMs === null && policy.maxBytes === null) return;
  to.push({ topic, partition, ttlMs: policy.ttlMs, maxBytes: policy.maxBytes });
}
