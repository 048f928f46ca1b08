/** Reads the hard state, an incoming snapshot, or the head of a backup. */
import type { Disk } from "../env/disk.ts";
import { SHARD_0 } from "../lib/ids.ts";
import type { BackupReader } from "../storage/backup/reader.ts";
import { readPlace, readRecord } from "../storage/checkpoints/incoming.ts";
import { identityOf, readIdentity, shardPaths } from "../storage/data-dir.ts";
import { decodeSlots, type Slot } from "../storage/hard-state.ts";
import { type Row, timeOf, Unreadable } from "./row.ts";

/** @param disk of a data directory, because FORMAT seeds the checksums. @throws Unreadable */
export async function inspectHardState(disk: Disk): Promise<Row[]> {
  const identity = await readIdentity(disk);
  if (identity === null) throw new Unreadable("FORMAT", 0, "the file is missing");
  const { hardState } = shardPaths(SHARD_0);
  const bytes = await disk.readWhole(hardState);
  if (bytes === null) throw new Unreadable(hardState, 0, "the file is missing");
  const { clusterId, storageId } = identity;
  const { a, b } = decodeSlots(bytes, identityOf(storageId, SHARD_0), hardState);
  return [
    {
      json: { cluster_id: clusterId, incarnation: storageId },
      text: `cluster ${clusterId ?? "not known yet"}, storage id ${storageId}`,
    },
    slotRow("A", a),
    slotRow("B", b),
  ];
}

function slotRow(name: string, slot: Slot | null): Row {
  if (slot === null) return { json: { slot: name, whole: false }, text: `slot ${name}: damaged` };
  const { sequence, state } = slot;
  const { term, vote, commit } = state;
  return {
    json: { slot: name, whole: true, sequence, term, vote, commit },
    text: `slot ${name}: sequence ${sequence}, term ${term}, vote ${vote ?? "none"}, commit ${commit}`,
  };
}

/** Describes the snapshot that a leader is sending, and how far it is durable. */
export async function inspectIncoming(disk: Disk): Promise<Row[]> {
  const { root } = shardPaths(SHARD_0);
  const record = await readRecord(disk, root);
  if (record === null) return [{ json: { receiving: false }, text: "nothing is being received" }];
  const { index, term, files } = record.announcement;
  const place = await readPlace(disk, root, record.root);
  const bytes = files.reduce((sum, { length }) => sum + length, 0);
  return [
    {
      json: { receiving: true, index, term, root: record.root, files: files.length, bytes, place },
      text:
        `a snapshot of index ${index}, term ${term}, into root ${record.root}: ${files.length} ` +
        `files, ${bytes} bytes; durable up to file ${place.file}, byte ${place.position}`,
    },
  ];
}

export function inspectArchive({ contents }: BackupReader): Row[] {
  const { head, files } = contents;
  const { index, term, clusterId, nodeId, takenAtMs } = head;
  const told = { index, term, cluster_id: clusterId, node_id: nodeId, taken_at_ms: takenAtMs };
  return [
    {
      json: { kind: "backup", ...told, files: files.length },
      text:
        `a backup of index ${index}, term ${term}, by ${nodeId} of cluster ${clusterId}, ` +
        timeOf(takenAtMs),
    },
    ...files.map(({ name, length }) => ({ json: { name, length }, text: `${name} ${length} B` })),
  ];
}
