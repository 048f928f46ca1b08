import type { Clock } from "../../env/clock.ts";
import { saveView, VIEW_STATE_BYTES_MAX } from "../../machine/views.ts";
import type { Logger } from "../../metrics/log.ts";
import type { Commander } from "../writes/commander.ts";
import type { ViewTask } from "./view-task.ts";

/** A change is saved after this time, */
const SAVE_EVERY_US = 5_000_000;
/** or after this many changes, but not sooner than this after the last save. */
const SAVE_EVERY_CHANGES = 10_000;
const SAVE_REST_US = 250_000;
/** Maximum rate at which states are written to the journal. */
const SAVE_BYTES_PER_SECOND = 1024 * 1024;
/** Maximum time for saving at a stop. */
const LAST_SAVE_MS = 2_000;

export type ViewSaverOptions = {
  readonly commander: Commander;
  readonly clock: Clock;
  readonly log: Logger;
  readonly isLeader: () => boolean;
};

/**
 * Saves the leader's views through the log, state and positions together, so that every node can
 * continue from the saved state.
 */
export class ViewSaver {
  readonly #options: ViewSaverOptions;

  constructor(options: ViewSaverOptions) {
    this.#options = options;
  }

  /** Starts to save in the background if a save is due. */
  async maybeSave(task: ViewTask): Promise<void> {
    if (!this.#isDue(task)) return;
    const saved = await this.#propose(task);
    saved?.done.catch(() => undefined);
  }

  /** True if a view has changes that are not saved yet. */
  isWaiting(tasks: readonly ViewTask[]): boolean {
    return this.#options.isLeader() && tasks.some((task) => this.#hasChanged(task));
  }

  /** Saves all changed views now, within a limited time. */
  async saveAll(tasks: readonly ViewTask[]): Promise<void> {
    if (!this.isWaiting(tasks)) return;
    const { clock } = this.#options;
    let cancel: () => void = () => undefined;
    const timeout = new Promise<void>((resolve) => {
      cancel = clock.after(LAST_SAVE_MS, resolve);
    });
    const all = Promise.all(
      tasks.filter((task) => this.#hasChanged(task)).map((task) => this.#saveNow(task)),
    );
    await Promise.race([all, timeout]);
    cancel();
  }

  async #saveNow(task: ViewTask): Promise<void> {
    const saved = await this.#propose(task);
    await saved?.done;
  }

  #hasChanged(task: ViewTask): boolean {
    return task.changes > 0;
  }

  #isDue(task: ViewTask): boolean {
    const { clock, isLeader } = this.#options;
    if (task.isSaving || !this.#hasChanged(task) || !isLeader()) return false;
    // The first save is immediate, because it records where the view began.
    if (task.savedBytes === 0 && task.record.state === null) return true;
    const elapsedUs = clock.monotonic() - task.savedUs;
    if (elapsedUs < (task.savedBytes / SAVE_BYTES_PER_SECOND) * 1e6) return false;
    const byTime = elapsedUs >= SAVE_EVERY_US;
    return byTime || (task.changes >= SAVE_EVERY_CHANGES && elapsedUs >= SAVE_REST_US);
  }

  /** @returns null if there is nothing to save. */
  async #propose(task: ViewTask): Promise<{ readonly done: Promise<void> } | null> {
    const { clock, commander, log } = this.#options;
    const snapshot = await task.snapshot();
    if (snapshot === null) {
      // It continues unsaved. A restart computes it again from the last saved state.
      log.error("view state too large to save", { view: task.record.name });
      task.savedUs = clock.monotonic();
      task.savedBytes = VIEW_STATE_BYTES_MAX;
      return null;
    }
    const { bytes, changes } = snapshot;
    const { name, viewId } = task.record;
    task.isSaving = true;
    task.savedUs = clock.monotonic();
    task.savedBytes = bytes.length;
    const outcome = commander.run({
      kind: saveView,
      fields: { name, viewId, state: bytes },
      bytes: bytes.length,
      grows: true,
      done: ({ saved }) => saved,
    });
    const done = outcome.then((saved) => {
      task.isSaving = false;
      if (saved === true) task.changes = Math.max(0, task.changes - changes);
    });
    return { done };
  }
}
