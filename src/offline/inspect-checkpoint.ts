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
    const { files, bytes, sharedFiles, pieces } = countSegments(manifest);
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
        shared_files: sharedFiles,
        pieces,
        now_ms: state.now,
        limits: state.broker.limits,
      },
      text:
        `${name}: index ${index}, term ${term}, cluster ${clusterId}\n` +
        `voters ${voters.join(", ")}; learners ${learners.join(", ") || "none"}\n` +
        `${length} bytes; names ${files} segments of ${bytes} bytes, of which ${pieces} are pieces of ${sharedFiles} shared files\n` +
        `time ${timeOf(state.now)}; limits ${JSON.stringify(state.broker.limits)}`,
    };
    return [head, ...stateRows(state)];
  } catch (error) {
    if (!(error instanceof CheckpointDamaged)) throw error;
    throw new Unreadable(name, error.position, error.reason);
  }
}

function countSegments(manifest: Uint8Array) {
  const sum = { files: 0, bytes: 0, pieces: 0 };
  const { shared } = readManifest(manifest, ({ segments }) => {
    sum.files += segments.length;
    for (const { length, piece } of segments) {
      sum.bytes += length;
      if (piece !== null) sum.pieces++;
    }
  });
  return { ...sum, sharedFiles: shared.length };
}

function stateRows({ broker, kv, members, views, parts }: MachineState): Row[] {
  const pathOf = (topicId: number) => parts.durable.byId.get(topicId)?.config.path ?? null;
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
    ...[...broker.topicsById.values()].map((topic) => topicRow(topic, pathOf(topic.topicId))),
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

/** @param stream the path of the stream whose records the topic has. */
function topicRow({ topicId, name, partitions, policy }: TopicState, stream: string | null): Row {
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
      ...(stream === null ? {} : { stream }),
      partitions: partitions.length,
      records,
      bytes,
      groups: [...groups],
      idempotency_keys: dedupe,
      ttl_ms: policy.ttlMs,
      max_bytes: policy.maxBytes,
    },
    text:
      `topic ${name}${stream === null ? "" : ` (stream ${stream})`}: id ${topicId}, ${partitions.length} partitions, ${records} records, ` +
      `${bytes} bytes, groups ${[...groups].join(", ") || "none"}, ${dedupe} idempotency keys`,
  };
}
