import { SnapshotRestorer } from "../../machine/snapshot-restorer.ts";
import type { MachineState } from "../../machine/state.ts";
import type { LoadedCheckpoint } from "../../storage/checkpoints/reader.ts";

/** Reads the machine's part of a checkpoint and closes the checkpoint. */
export async function restoreState(loaded: LoadedCheckpoint): Promise<MachineState> {
  try {
    const restorer = new SnapshotRestorer();
    for (let chunk = await loaded.next(); chunk !== null; chunk = await loaded.next()) {
      restorer.push(chunk);
    }
    return restorer.finish();
  } finally {
    await loaded.close();
  }
}
