import { appendCommand } from "../../lib/command-kind.ts";
import type { NodeId } from "../../lib/ids.ts";
import { raiseLevel } from "../../machine/levels.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Rejected } from "../api.ts";
import type { CommandQueue } from "./command-queue.ts";

export type LogLevelOptions = {
  readonly machine: Machine;
  readonly queue: CommandQueue;
  readonly levels: {
    /** Members that have not announced to this node that they know the level. */
    lacking(level: number): readonly NodeId[];
  };
};

/** Raises the level of the log at the first command that needs it. See `machine/levels.ts`. */
export class LogLevel {
  readonly #options: LogLevelOptions;

  constructor(options: LogLevelOptions) {
    this.#options = options;
  }

  /** True if the level is in force or every member knows it. */
  isKnown(level: number): boolean {
    const { machine, levels } = this.#options;
    return machine.level >= level || levels.lacking(level).length === 0;
  }

  /**
   * Must be called right before a command that needs the level is encoded. If necessary, it first
   * submits a command that raises the level.
   *
   * @param feature that needs the level, for the message, such as "Records with headers".
   * @returns why the command must not be proposed, or null.
   */
  ensure(level: number, feature: string): Rejected<"cluster_not_upgraded"> | null {
    const { machine, queue, levels } = this.#options;
    if (machine.level >= level) return null;
    const nodes = levels.lacking(level).join(", ");
    if (nodes === "") {
      appendCommand(queue.writer(), raiseLevel, { level });
      queue.submit(null);
      return null;
    }
    const message = `${feature} can be used once every member runs a version that knows them: not yet ${nodes}, which runs an earlier version or has not connected to the leader since it leads; upgrade or start it, or remove it from the cluster`;
    return { ok: false, code: "cluster_not_upgraded", message };
  }
}
