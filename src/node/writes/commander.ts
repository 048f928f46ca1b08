import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { ByteWriter } from "../../lib/bytes.ts";
import type { CommandResult } from "../../machine/commands.ts";
import type {
  CommitReject,
  CreateTopicReject,
  DeleteGroupReject,
  KvDeleteReject,
  KvPutReject,
  Rejected,
  RetentionReject,
  WriteAck,
  WriteReject,
} from "../api.ts";
import type { CommandQueue } from "./command-queue.ts";
import { CommandWaiter } from "./waiters.ts";

/** Reject codes of each command type. */
type Rejects = {
  readonly create_topic: CreateTopicReject;
  readonly delete_topic: WriteReject | "topic_not_found";
  readonly delete_group: DeleteGroupReject;
  readonly commit_offset: CommitReject;
  readonly delete_before: Exclude<CommitReject, "too_many_groups" | "too_many_offsets">;
  readonly set_retention: RetentionReject;
  readonly trim: WriteReject | "topic_not_found" | "partition_not_found";
  readonly configure: WriteReject;
  readonly tick: WriteReject;
  readonly kv_put: KvPutReject;
  readonly kv_delete: KvDeleteReject;
  readonly put_member: WriteReject;
  readonly put_view: WriteReject | "too_many_views";
  readonly delete_view: WriteReject | "view_not_found";
  readonly save_view: WriteReject | "view_state_too_large";
};
type CommandType = keyof Rejects;
type SuccessOf<Type extends CommandType> = Extract<
  CommandResult,
  { readonly ok: true; readonly type: Type }
>;

export type CommandRun<Type extends CommandType, T> = {
  readonly type: Type;
  /** Approximate size of the command in the queue. */
  readonly bytes: number;
  /** True if the command stores data, so that a full disk refuses it. */
  readonly grows?: boolean;
  /** Called when the queue accepts the command. @returns why the leader refuses it, or null. */
  readonly check?: () => Rejected<Rejects[Type]> | null;
  readonly encode: (writer: ByteWriter) => void;
  readonly done: (result: SuccessOf<Type>, ack: WriteAck) => T;
  /** The request's own deadline. Null: the deadline of the server. */
  readonly timeoutMs?: number | null;
};

type Outcome<Type extends CommandType, T> = T | Rejected<Rejects[Type]>;

/** Runs a command through the log: every write except records. */
export class Commander {
  readonly #queue: CommandQueue;
  readonly #clock: Clock;

  constructor(queue: CommandQueue, clock: Clock) {
    this.#queue = queue;
    this.#clock = clock;
  }

  /** @returns the result of `done` after success, or the rejection of the machine or the log. */
  run<Type extends CommandType, T>(command: CommandRun<Type, T>): Promise<Outcome<Type, T>> {
    return new Promise((resolve) => this.start(command, resolve));
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
  start<Type extends CommandType, T>(
    command: CommandRun<Type, T>,
    done: (outcome: Outcome<Type, T>) => void,
  ): void {
    const refusal =
      command.grows === true
        ? this.#queue.admitGrowth(command.bytes)
        : this.#queue.admit(command.bytes);
    if (refusal !== null) {
      done({ ok: false, code: refusal });
      return;
    }
    const rejection = command.check?.() ?? null;
    if (rejection !== null) {
      done(rejection);
      return;
    }
    const map = (result: CommandResult, ack: WriteAck): Outcome<Type, T> =>
      // The machine returns the result type of the command.
      result.ok
        ? command.done(result as SuccessOf<Type>, ack)
        : (result as Rejected<Rejects[Type]>);
    const waiter = new CommandWaiter<Outcome<Type, T>>(this.#clock.monotonic(), map, done);
    command.encode(this.#queue.writer());
    this.#queue.submit(waiter);
    const { timeoutMs = null } = command;
    if (timeoutMs !== null) {
      waiter.setTimer(this.#clock.after(timeoutMs, () => waiter.timedOut()));
    }
  }

  /** Submits maintenance of the leader. No request waits for it, and a full queue accepts it. */
  housekeep(encode: (writer: ByteWriter) => void): void {
    if (faultPoint("housekeeping-refused-by-a-full-queue") && this.#queue.admit(0) !== null) return;
    if (this.#queue.refusal !== null) return;
    encode(this.#queue.writer());
    this.#queue.submit(null);
  }
}
