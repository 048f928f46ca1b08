import type {
  GroupSample,
  MetricSources,
  PartitionSample,
  ProcessSample,
} from "../metrics/sources.ts";
import type { NodeApi } from "../node/api.ts";

/** What the node's API tells; whoever knows more (ages, peers) overrides it. */
export const sourcesOf = (node: NodeApi): MetricSources => ({
  partitions: () => partitionsOf(node),
  groups: () => groupsOf(node),
  views: () => [],
  process: processSample,
  build: () => ({ version: "", commit: "" }),
  ha: () => {
    const health = node.health();
    const isLeader = health.leaderId === health.nodeId;
    const self = { nodeId: health.nodeId, httpAddr: "", role: health.role, isLeader };
    return {
      role: health.role,
      ready: health.ready,
      term: health.term,
      freshQuorum: health.ready && health.leaderId !== null,
      commitIndex: health.commitIndex,
      appliedIndex: health.appliedIndex,
      durableIndex: health.durableIndex,
      electionsStarted: 0,
      heartbeatsSent: 0,
      nodes: [{ ...self, lagEntries: null }],
    };
  },
});

function processSample(): ProcessSample {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const clockSeconds = Date.now() / 1000;
  return {
    residentBytes: rss,
    heapUsedBytes: heapUsed,
    cpuSeconds: (user + system) / 1e6,
    startedAtSeconds: clockSeconds - process.uptime(),
    clockSeconds,
  };
}

const partitionsOf = (node: NodeApi): PartitionSample[] =>
  node.listTopics().flatMap(({ topic }) => {
    const described = node.describeTopic(topic);
    if (!described.ok) return [];
    return described.partitionList.map((partition) => ({ topic, ...partition }));
  });

const groupsOf = (node: NodeApi): GroupSample[] =>
  node.listTopics().flatMap(({ topic }) => {
    const result = node.groupsOf(topic);
    if (!result.ok) return [];
    return result.groups.map(({ group, partition, lag }) => ({
      topic,
      group,
      partition,
      lagRecords: lag,
      lagSeconds: lag === 0 ? 0 : null,
    }));
  });
