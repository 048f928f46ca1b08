/**
 * Names of checkpoints, and of the roots that hold their segments:
 *
 *     partitions             root 0: what this node wrote itself from the beginning
 *     partitions@<n>         root n ≥ 1: segments that another node sent
 *     <index>.ckpt           a checkpoint whose segments lie in root 0
 *     <index>@<n>.ckpt       … in root n
 *     <index>[@<n>].install  in force like a `.ckpt`, but the journal may not continue it yet
 *     <index>@<n>.part       being received; has no effect yet
 *
 * The rename from `.part` to `.install` is the one step with which a node takes over the state of
 * another; that to `.ckpt` says that the journal was reset. From then on a journal that does not
 * continue the checkpoint has lost entries.
 */
import { baseNameOf } from "../../lib/path.ts";

/**
 * Each transfer has another root, so a file that was left behind is never mistaken for one of this
 * transfer.
 */
export type RootNumber = number;

export type CheckpointState = "ckpt" | "install" | "part";

export type CheckpointName = {
  readonly index: number;
  readonly root: RootNumber;
  readonly state: CheckpointState;
};

const NAME = /^(\d{20})(?:@([1-9]\d{0,8}))?\.(ckpt|install|part)$/;
const ROOT = /^@([1-9]\d{0,8})$/;

export function checkpointName(
  index: number,
  root: RootNumber = 0,
  state: CheckpointState = "ckpt",
): string {
  const suffix = root === 0 ? "" : `@${root}`;
  return `${String(index).padStart(20, "0")}${suffix}.${state}`;
}

/** Parses the name of a checkpoint. Returns null for names of other files. */
export function parseCheckpointName(name: string): CheckpointName | null {
  const match = NAME.exec(name);
  const state = match?.[3];
  if (state !== "ckpt" && state !== "install" && state !== "part") return null;
  return { index: Number(match?.[1]), root: Number(match?.[2] ?? 0), state };
}

/** Returns the index of a checkpoint that is in force, or null for names of other files. */
export function checkpointIndex(name: string): number | null {
  const parsed = parseCheckpointName(name);
  return parsed === null || parsed.state === "part" ? null : parsed.index;
}

/** @param directory the directory of root 0, such as `shards/0/partitions`. */
export const rootDirectory = (directory: string, root: RootNumber): string =>
  root === 0 ? directory : `${directory}@${root}`;

/** @returns null if `name`, in the same directory as root 0, is not the name of a root. */
export function rootOf(directory: string, name: string): RootNumber | null {
  const base = baseNameOf(directory);
  if (name === base) return 0;
  const number = name.startsWith(base) ? ROOT.exec(name.slice(base.length))?.[1] : undefined;
  return number === undefined ? null : Number(number);
}
