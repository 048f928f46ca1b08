import type { Disk } from "../../env/disk.ts";
import { parentOf } from "../../lib/path.ts";
import { syncDirectory } from "../durable.ts";
import { incomingRoot } from "./incoming.ts";
import { parseCheckpointName, rootDirectory, rootOf } from "./names.ts";

export type StaleScope = {
  readonly disk: Disk;
  /** The directory of checkpoints, such as `shards/0/checkpoints`. */
  readonly checkpoints: string;
  /** The directory of root 0. */
  readonly partitionsDirectory: string;
  /** The roots that this process uses. */
  readonly inUse: readonly number[];
};

/**
 * Removes roots that are not in use, not those of the newest checkpoint, and not being received.
 * The checkpoints of a root are removed before it, so that no checkpoint ever lacks its segments.
 */
export async function removeStaleRoots(scope: StaleScope): Promise<void> {
  const { disk, checkpoints, partitionsDirectory } = scope;
  const shard = parentOf(partitionsDirectory);
  // The order matters. A snapshot is announced before its root is created, and has a checkpoint in
  // force before the announcement is removed.
  const besides = await disk.list(shard);
  const parts = (await disk.list(checkpoints)).filter((name) => name.endsWith(".part"));
  const incoming = await incomingRoot(disk, shard);
  const names = await disk.list(checkpoints);
  const keep = new Set([...scope.inUse, newestRoot(names)]);
  if (incoming !== null) keep.add(incoming);
  const isStale = (name: string) => !keep.has(parseCheckpointName(name)?.root ?? newestRoot(names));
  const gone = [
    ...names.filter((name) => !name.endsWith(".part") && isStale(name)),
    ...parts.filter(isStale),
  ];
  for (const name of gone) await disk.remove(`${checkpoints}/${name}`);
  if (gone.length > 0) await syncDirectory(disk, checkpoints);
  for (const name of besides) {
    const root = rootOf(partitionsDirectory, name);
    if (root === null || keep.has(root)) continue;
    await disk.removeTree(rootDirectory(partitionsDirectory, root));
  }
}

function newestRoot(names: readonly string[]): number {
  let newest = { index: 0, root: 0 };
  for (const text of names) {
    const name = parseCheckpointName(text);
    if (name === null || name.state === "part") continue;
    if (name.index > newest.index || (name.index === newest.index && name.root > newest.root)) {
      newest = name;
    }
  }
  return newest.root;
}
