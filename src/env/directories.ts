import { existsSync, rmdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type BunDisk, openBunDisk } from "./bun-disk.ts";

export const isDirectory = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** A directory that is to be filled, made if it was not there. */
export type NewRoot = {
  readonly disk: BunDisk;
  /** Its own name is durable. */
  settle(): Promise<void>;
  /** Gone again if it was made here and has nothing in it. */
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
