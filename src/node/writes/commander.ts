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

/** What a command of each type can be refused with. */
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
  /** About what the command takes in the queue. */
  readonly bytes: number;
  /** It stores something, so a full disk refuses it. */
  readonly grows?: boolean;
  /** Asked once the queue takes the command. @returns why this leader does not propose it, or null. */
  readonly check?: () => Rejected<Rejects[Type]> | null;
  readonly encode: (writer: ByteWriter) => void;
  readonly done: (result: SuccessOf<Type>, ack: WriteAck) => T;
  /** The request's own deadline; null: the server's. */
  readonly timeoutMs?: number | null;
};

type Outcome<Type extends CommandType, T> = T | Rejected<Rejects[Type]>;

/** Runs one command through the log: everything that is written but records. */
export class Commander {
  readonly #queue: CommandQueue;
  readonly #clock: Clock;

  constructor(queue: CommandQueue, clock: Clock) {
    this.#queue = queue;
    this.#clock = clock;
  }

  /** @returns what `done` makes of a success; the machine's or the log's rejection as data. */
  run<Type extends CommandType, T>(command: CommandRun<Type, T>): Promise<Outcome<Type, T>> {
    return new Promise((resolve) => this.start(command, resolve));
  }

  /** For writes that look at the machine before they are proposed. See `CommandQueue.whenCurrent`. */
  whenCurrent(): Promise<WriteReject | null> {
    return this.#queue.whenCurrent();
  }

  /** Resolves to `ok` when all that was committed before the call is applied here. */
  confirm(): Promise<"ok" | WriteReject> {
    return this.#queue.confirm();
  }

  /** As `run`, without a promise. @param done is called once and must not throw. */
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
      // The machine answers a command with its own type's result.
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

  /** The leader's own housekeeping: nobody waits for it, and no queue is too full for it. */
  housekeep(encode: (writer: ByteWriter) => void): void {
    if (faultPoint("housekeeping-refused-by-a-full-queue") && this.#queue.admit(0) !== null) return;
    if (this.#queue.refusal !== null) return;
    encode(this.#queue.writer());
    this.#queue.submit(null);
  }
}
