import { TOUCHES_MAX, touchStreams } from "../../durable/commands/touch-streams.ts";
import type { Clock } from "../../env/clock.ts";
import type { Rejected } from "../api.ts";
import type { StreamWriteReject } from "../durable-api.ts";
import type { Commander } from "../writes/commander.ts";

type Outcome = Rejected<StreamWriteReject> | null;
type Batch = { readonly streamIds: Set<number>; readonly promise: Promise<Outcome> };

/** Reads that prolong the lives of streams. Those of one event-loop iteration share a command. */
export class Touches {
  readonly #commander: Commander;
  readonly #clock: Clock;
  #open: Batch | null = null;

  constructor(commander: Commander, clock: Clock) {
    this.#commander = commander;
    this.#clock = clock;
  }

  /** Resolves to null when the touch is committed and applied. */
  touch(streamId: number): Promise<Outcome> {
    if (this.#open === null || this.#open.streamIds.size >= TOUCHES_MAX) this.#open = this.#begin();
    this.#open.streamIds.add(streamId);
    return this.#open.promise;
  }

  #begin(): Batch {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const batch: Batch = { streamIds: new Set(), promise };
    this.#clock.defer(() => {
      if (this.#open === batch) this.#open = null;
      const streamIds = [...batch.streamIds];
      this.#commander
        .run({
          kind: touchStreams,
          fields: { streamIds },
          bytes: 9 * streamIds.length,
          done: () => null,
        })
        .then(resolve);
    });
    return batch;
  }
}
