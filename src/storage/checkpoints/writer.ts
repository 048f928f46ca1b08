import type { Disk } from "../../env/disk.ts";
import { failedSync } from "../durable.ts";
import {
  CheckpointFrameWriter,
  type CheckpointMeta,
  encodeHead,
  KIND_END,
  KIND_HEAD,
  KIND_MACHINE,
  KIND_MANIFEST,
} from "./format.ts";

const MANIFEST_FRAME_BYTES = 1024 * 1024;
const NO_BYTES = new Uint8Array(0);

/** The machine's snapshot in pieces of at most 64 MiB. Called once per event-loop iteration. */
export interface SnapshotChunks {
  next(): Uint8Array | null;
}

export type CheckpointContent = {
  readonly meta: CheckpointMeta;
  readonly manifest: Uint8Array;
  readonly machine: SnapshotChunks;
};

/** @returns the length of the file, which is durable once its directory is synced. */
export async function writeCheckpoint(
  disk: Disk,
  path: string,
  { meta, manifest, machine }: CheckpointContent,
  nextTurn: () => Promise<void>,
): Promise<number> {
  const file = await disk.open(path, "truncate");
  try {
    const frames = new CheckpointFrameWriter(file, meta.index);
    await frames.write(KIND_HEAD, encodeHead(meta));
    for (let at = 0; at < manifest.length; at += MANIFEST_FRAME_BYTES) {
      await frames.write(KIND_MANIFEST, manifest.subarray(at, at + MANIFEST_FRAME_BYTES));
    }
    for (let chunk = machine.next(); chunk !== null; chunk = machine.next()) {
      await frames.write(KIND_MACHINE, chunk);
      await nextTurn();
    }
    await frames.write(KIND_END, NO_BYTES);
    await file.sync().catch(failedSync);
    return frames.position;
  } finally {
    await file.close();
  }
}
