import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import { forgetQueues } from "../../queue/commands/forget-queues.ts";
import { receive } from "../../queue/commands/receive.ts";
import { type FoundQueue, holdsDeleted } from "../../queue/find.ts";
import type { Emit } from "../events.ts";
import type { Commander } from "../writes/commander.ts";
import type { Burials } from "./burials.ts";
import type { Redriver } from "./redriver.ts";
import { liveQueues } from "./stats.ts";

const SWEEP_EVERY_MS = 100;
/** After records could not be put aside. */
const RETRY_MS = 1_000;
/** Ready items of a queue are looked at so rarely that it takes a small part of the time. */
const LOOKS_PER_MS = 500;
const COMMAND_BYTES = 64;

export type SweeperOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  /** The cluster time. */
  readonly clock: Clock;
  readonly replica: { readonly isLeader: boolean };
  readonly emit: Emit;
  readonly burials: Pick<Burials, "sweep">;
  readonly redriver: Pick<Redriver, "goOn">;
  /** Called before each pass. */
  readonly propose: () => void;
};

/**
 * Work of the leader on queues that no request asks for: it puts exhausted records aside, goes on to
 * move dead letters back, and lets the state forget records that retention has deleted.
 */
export class Sweeper {
  readonly #options: SweeperOptions;
  /** Queues whose exhausted records are not looked for before this time. */
  readonly #resting = new Map<number, number>();
  /** Queues with a command in flight that forgets deleted records. */
  readonly #forgetting = new Set<number>();
  #isForgettingOrphans = false;
  #cancel: (() => void) | null = null;
  #stopped = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, emit } = this.#options;
    this.#cancel = clock.after(SWEEP_EVERY_MS, () => {
      this.#sweep().then(
        () => {
          if (!this.#stopped) this.start();
        },
        (error: unknown) => emit({ type: "failed", error }),
      );
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  async #sweep(): Promise<void> {
    const { machine, replica, commander, propose } = this.#options;
    const { byId } = machine.parts.queues;
    if (!replica.isLeader || byId.size === 0) return;
    // While a write to the disk does not end, requests wait in the queue of commands, with a deadline.
    propose();
    if ((await commander.whenCurrent()) !== null) return;
    this.#forgetOrphans();
    for (const queueId of this.#resting.keys()) {
      if (!byId.has(queueId)) this.#resting.delete(queueId);
    }
    for (const found of [...liveQueues(machine)]) {
      this.#options.redriver.goOn(found);
      this.#forget(found);
      await this.#bury(found);
    }
  }

  async #bury(found: FoundQueue): Promise<void> {
    const { clock, burials } = this.#options;
    const { queueId, ready, timed } = found.queue;
    const now = clock.now();
    if (ready.size === 0 && timed.nextAt() > now) return;
    if ((this.#resting.get(queueId) ?? 0) > now) return;
    const { looked, failed } = await burials.sweep(found);
    const restMs = failed > 0 ? RETRY_MS : looked / LOOKS_PER_MS;
    this.#resting.set(queueId, now + restMs);
  }

  /** Items of queues whose topic was deleted would count until somebody defines a queue. */
  #forgetOrphans(): void {
    const { machine, commander } = this.#options;
    const { broker, parts, level } = machine;
    if (level < forgetQueues.level || this.#isForgettingOrphans) return;
    let hasOrphans = false;
    for (const { topicId } of parts.queues.byId.values()) {
      if (!broker.topicsById.has(topicId)) hasOrphans = true;
    }
    if (!hasOrphans) return;
    this.#isForgettingOrphans = true;
    const command = { kind: forgetQueues, fields: {}, bytes: COMMAND_BYTES, done: () => null };
    commander.start(command, () => {
      this.#isForgettingOrphans = false;
    });
  }

  /** An item of a deleted record would count as one of all queues until somebody uses its queue. */
  #forget(found: FoundQueue): void {
    const { queueId } = found.queue;
    if (this.#forgetting.has(queueId) || !holdsDeleted(found)) return;
    if (faultPoint("deleted-records-stay-items")) return;
    this.#forgetting.add(queueId);
    this.#options.commander.start(
      {
        kind: receive,
        fields: { queueId, visibilityMs: 0, candidates: [] },
        bytes: COMMAND_BYTES,
        done: () => null,
      },
      () => this.#forgetting.delete(queueId),
    );
  }
}
