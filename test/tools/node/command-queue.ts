/** The command queue and the completions of a node, without its other parts. */
import type { Millis } from "../../../src/lib/ids.ts";
import { CommandQueue } from "../../../src/node/writes/command-queue.ts";
import { Completions, type CompletionsOptions } from "../../../src/node/writes/completions.ts";
import type { LogLevel } from "../../../src/node/writes/log-level.ts";
import type { Core } from "../../../src/raft/core.ts";
import type { SimClock } from "../sim/sim-clock.ts";

/** @param queueRequestsMax requests that are admitted at the same time. */
export function commandQueue(
  core: Core,
  clock: SimClock,
  writeConcern: CompletionsOptions["writeConcern"],
  queueRequestsMax: number,
) {
  const commitSeconds = { observe: () => {} };
  const completions = new Completions({ core, clock, writeConcern, commitSeconds });
  const queue = new CommandQueue({
    core,
    completions,
    clock: Object.assign(clock, { mayStamp: () => true }),
    machine: { now: 0 as Millis },
    reads: { floorMs: 0 as Millis },
    disk: { isShort: false },
    queueBytesMax: 1000,
    queueRequestsMax,
    loop: { wake: () => {} },
    linearizer: { confirm: () => Promise.resolve("ok") },
  });
  return { completions, queue };
}

/** Every member knows every level. */
export const noLevel = { ensure: () => null } as unknown as LogLevel;
