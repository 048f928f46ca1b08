import type { SomeKind } from "../../lib/command-kind.ts";
import type { CommandResult } from "../../machine/commands.ts";
import type { WriteAck, WriteReject } from "../api.ts";

/**
 * A request that waits for its command to be committed and applied. It is settled exactly once.
 * Later results are ignored, because a timeout ends the wait and not the write.
 */
export abstract class Waiter {
  /** Monotonic microseconds. */
  readonly submittedUs: number;
  #settled = false;
  #cancelTimer: (() => void) | null = null;

  constructor(submittedUs: number) {
    this.submittedUs = submittedUs;
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** The request's own `timeout_ms`. See `deadlines.ts` for the deadline of the server. */
  setTimer(cancel: () => void): void {
    this.#cancelTimer = cancel;
  }

  /** The command is committed, applied, and on as many disks as the write concern requires. */
  applied(result: CommandResult, ack: WriteAck, closedUs: number, nowUs: number): void {
    if (this.settle()) this.onApplied(result, ack, closedUs, nowUs);
  }

  /** The command is on the leader's disk, and the write concern does not require more. */
  appended(batchId: number): void {
    if (!this.#settled && this.onAppended(batchId)) this.settle();
  }

  /** The deadline of the server has passed. Requests with their own `timeout_ms` ignore it. */
  expired(): void {
    if (this.#cancelTimer === null) this.timedOut();
  }

  timedOut(): void {
    if (this.settle()) this.onTimeout();
  }

  /** The command will not be applied, or its outcome is unknown. */
  rejected(code: WriteReject): void {
    if (this.settle()) this.onReject(code);
  }

  /** The command was applied with this result, and the write concern requires more disks. */
  held(_result: CommandResult): void {}

  /** The command has left the queue. Called once, even if the request was answered before. */
  leftQueue(): void {}

  protected abstract onApplied(
    result: CommandResult,
    ack: WriteAck,
    closedUs: number,
    nowUs: number,
  ): void;
  protected abstract onTimeout(): void;
  protected abstract onReject(code: WriteReject): void;

  /** @returns false if the answer has to wait for the result. */
  protected onAppended(_batchId: number): boolean {
    return false;
  }

  /** @returns false if the request was answered before. */
  protected settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    return true;
  }
}

/** A command as it was proposed. */
export type PendingCommand = { readonly kind: SomeKind; readonly fields: unknown };

type Refused = { readonly ok: false; readonly code: WriteReject };

/** Waiter of every command except produce. These are rare, so each may use a closure. */
export class CommandWaiter<T> extends Waiter {
  readonly #done: (outcome: T | Refused) => void;
  readonly #map: (result: CommandResult, ack: WriteAck) => T;
  readonly #tracked: { readonly left: () => void } | null;
  readonly command: PendingCommand | null;
  #held: CommandResult | null = null;

  constructor(
    submittedUs: number,
    map: (result: CommandResult, ack: WriteAck) => T,
    done: (outcome: T | Refused) => void,
    tracked: { readonly left: () => void } | null = null,
    command: PendingCommand | null = null,
  ) {
    super(submittedUs);
    this.command = command;
    this.#map = map;
    this.#done = done;
    this.#tracked = tracked;
  }

  /** Answers before the result is known. The write continues. */
  answer(outcome: () => T): void {
    if (this.settle()) this.#done(outcome());
  }

  /** Answers with the result if it is known. @returns false if it is not. */
  answerHeld(ack: WriteAck): boolean {
    const held = this.#held;
    if (held === null) return false;
    this.answer(() => this.#map(held, ack));
    return true;
  }

  override held(result: CommandResult): void {
    this.#held = result;
  }

  override leftQueue(): void {
    this.#tracked?.left();
  }

  protected override onApplied(result: CommandResult, ack: WriteAck): void {
    this.#done(this.#map(result, ack));
  }

  protected override onTimeout(): void {
    this.#done({ ok: false, code: "commit_timeout" });
  }

  protected override onReject(code: WriteReject): void {
    this.#done({ ok: false, code });
  }
}
