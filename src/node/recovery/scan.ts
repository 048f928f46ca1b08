import { feature as faultPoint } from "bun:bundle";
import { decodeConfiguration } from "../../raft/config-codec.ts";
import { type CheckpointScan, scanCheckpoints } from "../../storage/checkpoints/scan.ts";
import { HardStateDamaged, HardStateFile, type HardStateOpened } from "../../storage/hard-state.ts";
import type { RecoveryOptions } from "./options.ts";

/** The contents of the disk except the journal. */
export type ShardScan = {
  readonly hardState: HardStateOpened | HardStateDamaged;
  readonly checkpoints: CheckpointScan;
  /**
   * Whether other voters have the entries that this node acknowledged, according to the members in its
   * newest checkpoint. A node that becomes the sole voter takes a checkpoint immediately. Null: no
   * checkpoint tells.
   */
  readonly hasPeers: boolean | null;
};

export async function scanShard(options: RecoveryOptions): Promise<ShardScan> {
  const { disk, dataDir, shard, nodeId } = options;
  const paths = dataDir.shard(shard);
  const hardState = await HardStateFile.open(
    disk,
    paths.hardState,
    dataDir.checksumIdentity(shard),
  ).catch((error: unknown) => {
    if (error instanceof HardStateDamaged) return error;
    throw error;
  });
  const checkpoints = await scanCheckpoints(disk, paths.checkpoints);
  return { hardState, checkpoints, hasPeers: peersIn(checkpoints, nodeId) };
}

function peersIn({ head }: CheckpointScan, nodeId: string): boolean | null {
  if (head === null) return null;
  const { voters, votersOutgoing } = decodeConfiguration(head.configuration);
  if (faultPoint("journal-of-a-node-alone-is-cut")) return true;
  return [...voters, ...votersOutgoing].some((id) => id !== nodeId);
}
