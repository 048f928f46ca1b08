import type { Clock } from "../../env/clock.ts";
import type { Core } from "../../raft/core.ts";
import { type BackupHead, backupBytes } from "../../storage/backup/format.ts";
import { backupStream } from "../../storage/backup/stream.ts";
import type { HeldCheckpoint } from "../../storage/checkpoints/held.ts";
import type { DataDir } from "../../storage/data-dir.ts";
import type { Backup, BackupReject, Result } from "../api.ts";
import type { Linearizer } from "../reads/linearizer.ts";
import type { Storage } from "../recovery/storage.ts";
import type { Checkpointer } from "./checkpointer.ts";

/** Each backup retains files that could be deleted, and reads the disk as fast as its client does. */
export const BACKUPS_MAX = 4;

export type BackupsOptions = {
  readonly core: Core;
  readonly clock: Clock;
  readonly storage: Storage;
  readonly linearizer: Linearizer;
  readonly checkpointer: Checkpointer;
  readonly dataDir: DataDir;
};

/** Streams checkpoints with the segments that they name, while the node serves requests. */
export class Backups {
  readonly #options: BackupsOptions;
  #open = 0;

  constructor(options: BackupsOptions) {
    this.#options = options;
  }

  /** Starts a backup of everything that any node acknowledged before the call. */
  async begin(): Promise<Result<{ readonly backup: Backup }, BackupReject>> {
    if (this.#open >= BACKUPS_MAX) {
      return { ok: false, code: "overloaded", message: `${BACKUPS_MAX} backups are under way` };
    }
    this.#open++;
    const begun = await this.#begin().catch((error: unknown) => {
      this.#open--;
      throw error;
    });
    if (!begun.ok) this.#open--;
    return begun;
  }

  async #begin(): Promise<Result<{ readonly backup: Backup }, BackupReject>> {
    const { core, linearizer, checkpointer, storage } = this.#options;
    const outcome = await linearizer.confirm();
    if (outcome !== "ok") return { ok: false, code: outcome };
    const wanted = core.appliedIndex;
    await checkpointer.take();
    const held = storage.checkpoints.hold();
    if (held !== null && held.index >= wanted) return { ok: true, backup: this.#backupOf(held) };
    await held?.release();
    return { ok: false, code: "disk_full", message: "There is no room for the checkpoint" };
  }

  #backupOf(held: HeldCheckpoint): Backup {
    const { core, clock, dataDir } = this.#options;
    const { index, term, files } = held;
    const head: BackupHead = {
      index,
      term,
      clusterId: dataDir.identity.clusterId ?? "",
      nodeId: core.id,
      takenAtMs: clock.now(),
    };
    const nextTurn = () => new Promise<void>((resolve) => clock.defer(resolve));
    const pieces = backupStream(held, head, nextTurn);
    let released = false;
    const release = async () => {
      if (released) return;
      released = true;
      this.#open--;
      await held.release();
    };
    const next = async () => (await pieces.next()).value ?? null;
    return { index, term, bytes: backupBytes({ head, files }), next, release };
  }
}
