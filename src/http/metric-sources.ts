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
  const names = (await node.listTopics()).map(({ topic }) => topic);
  const described = await Promise.all(names.map((topic) => node.describeTopic(topic)));
  return described.flatMap((topic) =>
    topic.ok ? topic.partitionList.map((each) => ({ topic: topic.topic, ...each })) : [],
  );
}

async function groupsOf(node: NodeApi): Promise<GroupSample[]> {
  const names = (await node.listTopics()).map(({ topic }) => topic);
  const found = await Promise.all(names.map((topic) => node.groupsOf(topic)));
  return found.flatMap((result, at) => {
    if (!result.ok) return [];
    const topic = names[at] ?? "";
    return result.groups.map(({ group, partition, lag }) => ({
      topic,
      group,
      partition,
      lagRecords: lag,
      lagSeconds: lag === 0 ? 0 : null,
    }));
  });
}
