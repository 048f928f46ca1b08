import type { Machine } from "../../machine/machine.ts";
import { encodeConfiguration } from "../../raft/config-codec.ts";
import type { Configuration, HardState } from "../../raft/types.ts";
import type { CheckpointStore } from "../../storage/checkpoints/store.ts";
import type { Journal } from "../../storage/journal/journal.ts";

const FIRST_CHUNK_BYTES = 64 * 1024;

export type FirstCheckpoint = {
  readonly clusterId: string;
  readonly configuration: Configuration;
  /** The state before any entry was applied. */
  readonly machine: Machine;
};

/**
 * @returns false if the disk is not empty.
 * @throws DiskFull without any change. The caller may retry.
 */
export async function writeFirst(
  blank: { checkpoints: CheckpointStore; journal: Journal; hardState: HardState },
  { clusterId, configuration, machine }: FirstCheckpoint,
): Promise<boolean> {
  const first = machine.beginSnapshot();
  const meta = { clusterId, configuration: encodeConfiguration(configuration) };
  const chunks = { next: () => first.next(FIRST_CHUNK_BYTES) };
  try {
    return await blank.checkpoints.bootstrap(blank, meta, chunks);
  } catch (error) {
    first.abandon();
    throw error;
  }
}
