import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import {
  appendCommand,
  type CodeOf,
  type CommandOf,
  type FieldsOf,
  type LeveledKind,
  type SomeKind,
  type SuccessOf,
} from "../../lib/command-kind.ts";
import type { CommandResult } from "../../machine/commands.ts";
import type { RejectCode, Rejected, WriteAck, WriteReject } from "../api.ts";
import type { CommandQueue } from "./command-queue.ts";
import type { LogLevel } from "./log-level.ts";
import type { Proposal } from "./proposal.ts";
import { CommandWaiter, type PendingCommand } from "./waiters.ts";

/**
 * @typeParam T what the request gets after success.
 * @typeParam X codes of `check`.
 */
export type CommandRun<K extends SomeKind, T, X extends RejectCode> = {
  readonly kind: K;
  readonly fields: FieldsOf<CommandOf<K>>;
  /** Approximate size of the command in the queue. */
  readonly bytes: number;
  /** True if the command stores data, so that a full disk refuses it. */
  readonly grows?: boolean;
  /** Called when the queue accepts the command. @returns why the leader refuses it, or null. */
  readonly check?: () => Rejected<X> | null;
  readonly done: (result: SuccessOf<K>, ack: WriteAck) => T;
  /** The request's own deadline. Null: the deadline of the server. */
  readonly timeoutMs?: number | null;
  /**
   * The answer if that deadline passes first and the write goes on. Absent, or null as its answer:
   * `commit_timeout`.
   *
   * @param before the commands that were accepted before this one and are not applied yet.
   */
  readonly unsynced?: (ack: WriteAck, before: () => Iterable<PendingCommand>) => T | null;
  readonly tracked?: Tracked | null;
};

/** Is told when a command is in the queue, and when it is applied or lost. */
export type Tracked = { readonly queued: () => void; readonly left: () => void };

type LevelReject<K> = K extends { readonly level: number } ? "cluster_not_upgraded" : never;
export type Outcome<K extends SomeKind, T, X extends RejectCode> =
  | T
  | Rejected<WriteReject | Extract<CodeOf<K>, RejectCode> | LevelReject<K> | X>;

/** Runs a command through the log: every write except records. */
export class Commander {
  readonly #queue: CommandQueue;
  readonly #clock: Clock;
  readonly #level: LogLevel;

  constructor(queue: CommandQueue, clock: Clock, level: LogLevel) {
    this.#queue = queue;
    this.#clock = clock;
    this.#level = level;
  }

  /** @returns the result of `done` after success, or the rejection of the machine or the log. */
  run<K extends SomeKind, T, X extends RejectCode = never>(
    command: CommandRun<K, T, X>,
  ): Promise<Outcome<K, T, X>> {
    return new Promise((resolve) => this.start(command, resolve));
  }

  /** True if `whenCurrent` would resolve to null at once. */
  get isCurrent(): boolean {
    return this.#queue.refusal === null && this.#queue.isCurrent;
  }

  /** For writes that read the machine before they are proposed. See `CommandQueue.whenCurrent`. */
  whenCurrent(): Promise<WriteReject | null> {
    return this.#queue.whenCurrent();
  }

  /** Resolves to `ok` when everything that was committed before the call is applied here. */
  confirm(): Promise<"ok" | WriteReject> {
    return this.#queue.confirm();
  }

  /** The same as `run`, without a promise. @param done is called once and must not throw. */
  start<K extends SomeKind, T, X extends RejectCode = never>(
    command: CommandRun<K, T, X>,
    done: (outcome: Outcome<K, T, X>) => void,
  ): void {
    const refusal =
      command.grows === true
        ? this.#queue.admitGrowth(command.bytes)
        : this.#queue.admit(command.bytes);
    if (refusal !== null) {
      done({ ok: false, code: refusal });
      return;
    }
    const rejection = command.check?.() ?? this.#ensureLevel(command.kind);
    if (rejection !== null) {
      // A kind without a level is never rejected for it.
      done(rejection as Rejected<X | LevelReject<K>>);
      return;
    }
    const map = (result: CommandResult, ack: WriteAck): Outcome<K, T, X> =>
      // The machine returns the result type of the command.
      result.ok
        ? command.done(result as SuccessOf<K>, ack)
        : (result as Rejected<Extract<CodeOf<K>, RejectCode>>);
    const { timeoutMs = null, unsynced, tracked = null } = command;
    const now = this.#clock.monotonic();
    const waiter = new CommandWaiter<Outcome<K, T, X>>(now, map, done, tracked, command);
    appendCommand(this.#queue.writer(), command.kind, command.fields);
    const proposal = this.#queue.submit(waiter);
    tracked?.queued();
    if (timeoutMs === null) return;
    const late = (): void => {
      const ack = this.#ackOf(proposal);
      if (unsynced !== undefined && waiter.answerHeld(ack)) return;
      const outcome = unsynced?.(ack, () => this.#queue.before(waiter)) ?? null;
      if (outcome === null) waiter.timedOut();
      else waiter.answer(() => outcome);
    };
    waiter.setTimer(this.#clock.after(timeoutMs, late));
  }

  /** How far a write is that goes on. */
  #ackOf(proposal: Proposal): WriteAck {
    const queue = this.#queue;
    const ackedBy = queue.ackedBy(proposal);
    return { batchId: queue.indexOf(proposal), synced: false, ackedBy };
  }

  /**
   * Submits maintenance of the leader. No request waits for it, and a full queue accepts it.
   *
   * @returns false if this node does not lead, or a member does not know the level of the kind yet.
   */
  housekeep<K extends SomeKind>(kind: K, fields: FieldsOf<CommandOf<K>>): boolean {
    if (faultPoint("housekeeping-refused-by-a-full-queue") && this.#queue.admit(0) !== null) {
      return false;
    }
    if (this.#queue.refusal !== null || this.#ensureLevel(kind) !== null) return false;
    appendCommand(this.#queue.writer(), kind, fields);
    this.#queue.submit(null);
    return true;
  }

  /** Raises the level of the log if this node leads and every member knows the level. */
  raiseLevel(level: number): void {
    if (this.#queue.refusal === null) this.#level.ensure(level, "This version");
  }

  #ensureLevel(kind: SomeKind): Rejected<"cluster_not_upgraded"> | null {
    if (!("level" in kind)) return null;
    const { level, feature } = kind as LeveledKind<never, never, never>;
    return this.#level.ensure(level, feature);
  }
}
