import { largestGroups, largestPartitions } from "../metrics/cardinality.ts";
import {
  type GroupSample,
  type MetricSources,
  NO_WORK,
  type PartitionSample,
  type ProcessSample,
} from "../metrics/sources.ts";
import type { NodeApi } from "../node/api.ts";

/**
 * Metric sources from the node's API. A caller with better sources (ages, peers) overrides them.
 */
export const sourcesOf = (node: NodeApi): MetricSources => ({
  partitions: () => partitionsOf(node),
  groups: () => groupsOf(node),
  views: () => [],
  work: () => NO_WORK,
  threads: () => [],
  process: processSample,
  openFiles: () => null,
  build: () => ({ version: "", commit: "" }),
  ha: async () => {
    const health = await node.health();
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
      peerConnectionsUnverified: 0,
      peerConnectionsRefused: 0,
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

async function partitionsOf(node: NodeApi): Promise<PartitionSample[]> {
  const largest = largestPartitions();
  for (const { topic } of await node.listTopics()) {
    const described = await node.describeTopic(topic);
    if (!described.ok) continue;
    for (const each of described.partitionList) largest.add({ topic, ...each });
  }
  return largest.result();
}

async function groupsOf(node: NodeApi): Promise<GroupSample[]> {
  const largest = largestGroups();
  for (const { topic } of await node.listTopics()) {
    const found = await node.groupsOf(topic);
    if (!found.ok) continue;
    for (const { group, partition, lag } of found.groups) {
      const lagSeconds = lag === 0 ? 0 : null;
      largest.add({ topic, group, partition, lagRecords: lag, lagSeconds });
    }
  }
  return largest.result();
}
