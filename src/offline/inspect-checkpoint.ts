import type { PartitionState, TopicState } from "../broker/state.ts";
import type { Disk } from "../env/disk.ts";
import type { MachineState } from "../machine/state.ts";
import { restoreState } from "../node/recovery/machine-state.ts";
import { decodeConfiguration } from "../raft/config-codec.ts";
import { CheckpointDamaged } from "../storage/checkpoints/damaged.ts";
import { openCheckpoint } from "../storage/checkpoints/reader.ts";
import { readManifest } from "../storage/partitions/manifest.ts";
import { type Row, timeOf, Unreadable } from "./row.ts";

/** Summarizes the contents of a checkpoint. @throws Unreadable */
export async function inspectCheckpoint(disk: Disk, name: string, index: number): Promise<Row[]> {
  try {
    const loaded = await openCheckpoint(disk, name, index);
    const { meta, manifest, length } = loaded;
    const state = await restoreState(loaded);
    const { voters, learners } = decodeConfiguration(meta.configuration);
    const { files, bytes } = countSegments(manifest);
    const { term, clusterId } = meta;
    const head: Row = {
      json: {
        file: name,
        index,
        term,
        cluster_id: clusterId,
        voters,
        learners,
        bytes: length,
        segments: files,
        segment_bytes: bytes,
        now_ms: state.now,
        limits: state.broker.limits,
      },
      text:
        `${name}: index ${index}, term ${term}, cluster ${clusterId}\n` +
        `voters ${voters.join(", ")}; learners ${learners.join(", ") || "none"}\n` +
        `${length} bytes; names ${files} segments of ${bytes} bytes\n` +
        `time ${timeOf(state.now)}; limits ${JSON.stringify(state.broker.limits)}`,
    };
    return [head, ...stateRows(state)];
  } catch (error) {
    if (!(error instanceof CheckpointDamaged)) throw error;
    throw new Unreadable(name, error.position, error.reason);
  }
}

function countSegments(manifest: Uint8Array): { files: number; bytes: number } {
  const sum = { files: 0, bytes: 0 };
  readManifest(manifest, ({ segments }) => {
    sum.files += segments.length;
    for (const { length } of segments) sum.bytes += length;
  });
  return sum;
}

function stateRows({ broker, kv, members, views }: MachineState): Row[] {
  return [
    ...[...members.values()].map(({ id, host, raftPort, httpPort, storageId }) => ({
      json: {
        kind: "member",
        id,
        host,
        raft_port: raftPort,
        http_port: httpPort,
        incarnation: storageId,
      },
      text: `member ${id} ${host} raft ${raftPort} http ${httpPort} storage id ${storageId ?? "unknown"}`,
    })),
    ...[...broker.topicsById.values()].map(topicRow),
    ...[...kv.namespaces.values()].map(({ name, revision, keys }) => {
      const count = keys.capture().reduce((sum, page) => sum + page.count, 0);
      return {
        json: { kind: "namespace", name, revision, keys: count },
        text: `namespace ${name}: ${count} keys, revision ${revision}`,
      };
    }),
    ...[...views.byName.values()].map(({ name, viewId, state }) => ({
      json: { kind: "view", name, id: viewId, state_bytes: state?.length ?? 0 },
      text: `view ${name}: id ${viewId}, ${state?.length ?? 0} bytes of state`,
    })),
  ];
}

function topicRow({ topicId, name, partitions, policy }: TopicState): Row {
  const sum = (of: (partition: PartitionState) => number) =>
    partitions.reduce((total, partition) => total + of(partition), 0);
  const records = sum(({ lowWatermark, endOffset }) => endOffset - lowWatermark);
  const bytes = sum(({ bytesBelowLow, bytesEnd }) => bytesEnd - bytesBelowLow);
  const dedupe = sum((partition) => partition.dedupe?.size ?? 0);
  const groups = new Set(partitions.flatMap(({ committed }) => [...committed.keys()]));
  return {
    json: {
      kind: "topic",
      id: topicId,
      name,
      partitions: partitions.length,
      records,
      bytes,
      groups: [...groups],
      idempotency_keys: dedupe,
      ttl_ms: policy.ttlMs,
      max_bytes: policy.maxBytes,
    },
    text:
      `topic ${name}: id ${topicId}, ${partitions.length} partitions, ${records} records, ` +
      `${bytes} bytes, groups ${[...groups].join(", ") || "none"}, ${dedupe} idempotency keys`,
  };
}
