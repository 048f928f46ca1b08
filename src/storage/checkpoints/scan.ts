import type { Disk } from "../../env/disk.ts";
import { CheckpointDamaged } from "./damaged.ts";
import type { CheckpointMeta } from "./format.ts";
import { type CheckpointName, checkpointName, parseCheckpointName } from "./names.ts";
import { type LoadedCheckpoint, openCheckpoint, readCheckpointHead } from "./reader.ts";

export type ScannedCheckpoint = {
  readonly name: CheckpointName;
  /** The checkpoint, open and verified from end to end, or the reason why it is damaged. */
  readonly content: LoadedCheckpoint | CheckpointDamaged;
};

/** The checkpoints of a directory. The scan changes nothing. */
export type CheckpointScan = {
  /** The checkpoints in force, newest first. */
  readonly names: readonly CheckpointName[];
  /** The checkpoints that were read, from the newest to the first intact one, which is open. */
  readonly read: readonly ScannedCheckpoint[];
  /** The metadata of the newest checkpoint whose head can be read, intact or not. */
  readonly head: CheckpointMeta | null;
};

export async function scanCheckpoints(disk: Disk, directory: string): Promise<CheckpointScan> {
  const names = await checkpointNames(disk, directory);
  const read: ScannedCheckpoint[] = [];
  let head: CheckpointMeta | null = null;
  for (const name of names) {
    const path = `${directory}/${checkpointName(name.index, name.root, name.state)}`;
    const content = await tryOpen(disk, path, name.index);
    read.push({ name, content });
    if (!(content instanceof CheckpointDamaged)) return { names, read, head: head ?? content.meta };
    head ??= await readCheckpointHead(disk, path, name.index);
  }
  return { names, read, head };
}

/** Returns the intact checkpoint, or null if there is none. */
export function intactOf({ read }: CheckpointScan): LoadedCheckpoint | null {
  const content = read.at(-1)?.content;
  return content === undefined || content instanceof CheckpointDamaged ? null : content;
}

export const closeScan = async (scan: CheckpointScan): Promise<void> => intactOf(scan)?.close();

/** Lists the checkpoints in force, newest first. */
export async function checkpointNames(disk: Disk, directory: string): Promise<CheckpointName[]> {
  const names: CheckpointName[] = [];
  for (const text of await disk.list(directory)) {
    const name = parseCheckpointName(text);
    if (name !== null && name.state !== "part") names.push(name);
  }
  return names.sort((a, b) => b.index - a.index || b.root - a.root);
}

async function tryOpen(
  disk: Disk,
  path: string,
  index: number,
): Promise<LoadedCheckpoint | CheckpointDamaged> {
  try {
    return await openCheckpoint(disk, path, index);
  } catch (error) {
    if (error instanceof CheckpointDamaged) return error;
    throw error;
  }
}
