/** A node of its own, with journal and fsync, for benchmarks of its API without HTTP. */
import { BunClock } from "../../src/env/bun-clock.ts";
import { openBunDisk } from "../../src/env/bun-disk.ts";
import { NoNetwork } from "../../src/env/no-network.ts";
import type { Blocks } from "../../src/lib/blocks.ts";
import type { NodeId } from "../../src/lib/ids.ts";
import { createInstruments } from "../../src/metrics/instruments.ts";
import { SILENT } from "../../src/metrics/log.ts";
import { Node } from "../../src/node/node.ts";
import { DataDir } from "../../src/storage/data-dir.ts";

const MIB = 1024 * 1024;

export async function openNode(
  directory: string,
  blocks: Blocks,
  fault: (error: unknown) => void,
): Promise<Node> {
  const disk = openBunDisk(directory);
  const clock = new BunClock();
  const id = "node1" as NodeId;
  const identity = { clusterId: crypto.randomUUID(), storageId: crypto.randomUUID() };
  const node = await Node.open({
    disk,
    clock,
    random: { u32: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0 },
    log: SILENT,
    instruments: createInstruments(),
    dataDir: await DataDir.open(disk, identity),
    nodeId: id,
    cluster: {
      members: [{ id, host: "127.0.0.1", raftPort: 0, httpPort: 0, priority: 0 }],
      bootstraps: true,
      newClusterId: () => identity.clusterId,
      network: new NoNetwork(),
      identity: null,
      httpScheme: "http",
      heartbeatMs: 150,
      electionTimeoutMs: 1500,
    },
    storage: {
      journalSegmentBytes: 32 * MIB,
      segmentBytes: 64 * MIB,
      tailBytes: 64 * MIB,
      diskReserveBytes: 0,
      blocks,
    },
    checkpointBytes: 64 * MIB,
    journalKeepBytes: 64 * MIB,
    scrubBytesPerSecond: 0,
    autoCreateTopics: true,
    defaultPartitions: 1,
    commitTimeoutMs: 5_000,
    writeConcern: { kind: "majority" },
    queueBytesMax: 64 * MIB,
    queueRequestsMax: 100_000,
    limits: { dedupeWindowMs: 86_400_000, dedupeKeysMax: 100_000, partitionsMax: 100 },
    dedupeKeysTotal: 1_000_000,
    producersMax: 1_000,
    groupsMax: 1_000,
    offsetsMax: 1_000,
    fault,
  });
  await node.start();
  return node;
}
