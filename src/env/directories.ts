import { existsSync, rmdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type BunDisk, openBunDisk } from "./bun-disk.ts";

export const isDirectory = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** A directory that a caller fills. It is created if it does not exist. */
export type NewRoot = {
  readonly disk: BunDisk;
  /** Makes the name of the directory durable. */
  settle(): Promise<void>;
  /** Removes the directory if it was created here and is empty. */
  discard(): Promise<void>;
};

/** @throws DiskFailure */
export function openNewRoot(path: string): NewRoot {
  const root = resolve(path);
  const wasThere = existsSync(root);
  const disk = openBunDisk(root);
  const parent = openBunDisk(dirname(root));
  return {
    disk,
    settle: () => parent.syncDirectory(""),
    discard: async () => {
      if (!wasThere && (await disk.list("")).length === 0) rmdirSync(root);
    },
  };
}
