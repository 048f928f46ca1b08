/** `ayder restore`: creates the data directory of a new single-node cluster from a backup. */

import { SETTINGS } from "../config/settings.ts";
import { NODE_ID } from "../config/topology.ts";
import { ArchiveUnavailable } from "../env/archive.ts";
import { lockHolder } from "../env/data-lock.ts";
import { type NewRoot, openNewRoot } from "../env/directories.ts";
import type { NodeId } from "../lib/ids.ts";
import { type Restored, restoreBackup } from "../offline/restore.ts";
import { explained, openArchive, PLACE_NOTES } from "./archive-place.ts";
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { bytesText, counted } from "./table.ts";

const { dataDir, haNodeId } = SETTINGS;

export const RESTORE: Command = {
  name: "restore",
  summary: "create a data directory from a backup",
  actions: [{ name: "", operands: "<file|s3://bucket/name>", summary: "", run: runRestore }],
  options: {
    "data-dir": {
      type: "string",
      value: "DIR",
      help: `target: absent, or empty except for lost+found and hidden names (default: ${dataDir.default}, or ${dataDir.variables[0]})`,
    },
    "node-id": {
      type: "string",
      value: "ID",
      help: `id of the node that will run on it (default: ${haNodeId.default}, or ${haNodeId.variables[0]})`,
    },
    json: { type: "boolean", help: "print one JSON object" },
  },
  notes: [
    "The directory belongs to a new cluster with this node as its only member. It has the records,",
    "offsets, commits, keys and revisions of the backup, and a new cluster id. Start the node with the",
    "same node id. Other nodes join with empty disks (`ayder cluster add`).",
    "The backup is verified completely; if it is damaged, nothing remains in the directory.",
    ...PLACE_NOTES,
    "Example: ayder restore /backups/today.ayder --data-dir /var/lib/ayder",
  ],
};

async function runRestore(args: Arguments, io: Io): Promise<number> {
  const place = args.operand(0);
  const { interrupted } = io;
  const directory = setting(args.text("data-dir"), dataDir, io);
  const nodeId = setting(args.text("node-id"), haNodeId, io);
  if (!NODE_ID.test(nodeId)) throw new UsageError(`--node-id: "${nodeId}" is not a node id`);
  let root: NewRoot | null = null;
  try {
    const source = await openArchive(place, io);
    root = openNewRoot(directory);
    const clusterId = crypto.randomUUID();
    const restored = await restoreBackup({
      disk: root.disk,
      source,
      archive: place,
      nodeId: nodeId as NodeId,
      identity: { clusterId, storageId: crypto.randomUUID() },
      userOf: () => lockHolder(directory),
      nextTurn: () => new Promise<void>((resolve) => setImmediate(resolve)),
      received: () => {
        if (interrupted.aborted) throw new ArchiveUnavailable("interrupted; nothing was stored");
      },
    });
    await root.settle();
    await source.close();
    const told = { directory, nodeId, clusterId, json: args.flag("json") };
    await io.out(summary(restored, told));
    return EXIT.ok;
  } catch (error) {
    await root?.discard();
    return explained(error, io);
  }
}

function setting(
  given: string | undefined,
  {
    variables,
    default: usual,
  }: { readonly variables: readonly string[]; readonly default: string },
  io: Io,
): string {
  return given ?? variables.map((name) => io.environment[name]).find((text) => text) ?? usual;
}

type Told = {
  readonly directory: string;
  readonly nodeId: string;
  readonly clusterId: string;
  readonly json: boolean;
};

function summary(
  { head, files, bytes, topics }: Restored,
  { directory, nodeId, clusterId, json }: Told,
): string {
  const { index, term } = head;
  if (json) {
    const told = { ok: true, data_dir: directory, node_id: nodeId, cluster_id: clusterId };
    return `${JSON.stringify({ ...told, index, term, topics, files, bytes })}\n`;
  }
  return [
    `${directory}: restored up to index ${index} (term ${term}): ${counted(topics, "topic")}, ` +
      `${bytesText(bytes)}, verified`,
    `It is a new cluster, ${clusterId}, with ${nodeId} as its only member.`,
    "",
  ].join("\n");
}
