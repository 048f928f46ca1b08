import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { Random } from "../../env/random.ts";
import type { ByteWriter } from "../../lib/bytes.ts";
import type { NodeId } from "../../lib/ids.ts";
import { LEVEL_DELIVERY } from "../../lib/log-levels.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Core } from "../../raft/core.ts";
import type { CommandFrame } from "../../transport/transport.ts";
import type {
  KvPutOutcome,
  KvPutRequest,
  ProduceOutcome,
  ProduceRequest,
  Rejected,
  WriteReject,
} from "../api.ts";
import { CALL_RULES, CANCEL, type CallName, type ForwardedCalls, INTRODUCE } from "./calls.ts";
import { beginCommands, endCommands, writeCall } from "./command-codec.ts";
import {
  type AnyCall,
  type Forwarded,
  ForwardedCall,
  ForwardedProduce,
  ForwardedPut,
  type LocalWrites,
  timeoutOf,
} from "./forwarded.ts";
import { type Outcome, readOutcomes } from "./outcome-codec.ts";
import { Polls } from "./polls.ts";
import { Window } from "./window.ts";

/** A member of this level or above knows the frames of commands and outcomes. */
const LEVEL_OF_COMMANDS = LEVEL_DELIVERY;
/** A frame is sent when it has about this many bytes. */
const FRAME_BYTES_TARGET = 64 * 1024;
/** No command is sent while more bytes than this wait in this process for the link. */
const BACKLOG_BYTES_MAX = 128 * 1024;
/** Time for both directions of the network, in addition to the timeout of the write. */
const GRACE_US = 1_000_000;
/** A write that a node refused because it does not lead is sent again after this time. */
const RETRY_MS = 50;
const LOOK_EVERY_MS = 20;
/** The backlog of a link is read again after this time. */
const DRAIN_MS = 2;

/** Refusals of a node that does not lead. The write was certainly not done and will not be. */
const NOT_DONE: ReadonlySet<string> = new Set(["not_leader", "no_leader", "shutting_down"]);

export type ForwardLinks = {
  isUp(peer: NodeId): boolean;
  /** The level that the peer announced on its link. */
  levelOf(peer: NodeId): number;
  backlogBytes(peer: NodeId): number;
  /** @returns false if the frame was dropped. */
  sendCommands(peer: NodeId, kind: CommandFrame, write: (writer: ByteWriter) => void): boolean;
};

export type ForwarderOptions = {
  /** False: this node refuses writes while it does not lead. */
  readonly forwards: boolean;
  readonly core: Pick<Core, "id" | "leader" | "term" | "role">;
  /** False: this node does not belong to the cluster, so it will not hear of a leader. */
  readonly isMember: () => boolean;
  readonly local: LocalWrites;
  readonly links: ForwardLinks;
  /** The level that a member announced last, also if its link is down. */
  readonly lastLevelOf: (peer: NodeId) => number;
  readonly clock: Clock;
  readonly random: Random;
  readonly commitTimeoutMs: number;
  readonly queueBytesMax: number;
  readonly queueRequestsMax: number;
  readonly instruments: Pick<
    Instruments,
    | "forwardedCommands"
    | "forwardedBytes"
    | "forwardedAgain"
    | "forwardedUnknown"
    | "forwardedUnsent"
    | "forwardsInFlight"
  >;
};

/**
 * Passes writes of a follower on to the leader, over the link between the nodes. Many commands share
 * a frame. A write waits for a leader within its deadline. It is sent again only if a node refused it
 * because it does not lead: then it was not done. If the link is lost after it was sent, its outcome
 * is unknown.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #epoch: number;
  /** Not sent, in the order of arrival. */
  #queue: Forwarded[] = [];
  #queueBytes = 0;
  readonly #sent = new Window();
  readonly #polls = new Polls();
  #lastId = 0;
  #lastFrame = 0;
  /** Until when nothing is sent in this term, after a node said that it does not lead. */
  #refused: {
    readonly term: number;
    readonly leader: NodeId | null;
    readonly untilUs: number;
  } | null = null;
  #scheduled = false;
  #cancelLook: (() => void) | null = null;
  #cancelDrain: (() => void) | null = null;
  #refusal: WriteReject | null = null;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    // Replies to an earlier process must not match commands of this one.
    this.#epoch = options.random.u32() * 2 ** 20 + (options.random.u32() >>> 12);
  }

  /** True if the leader is another node that knows the frames, whether its link is up or not. */
  get reachesLeader(): boolean {
    const { forwards, core, lastLevelOf } = this.#options;
    const { leader } = core;
    return forwards && leader !== null && lastLevelOf(leader) >= LEVEL_OF_COMMANDS;
  }

  /** Commands that wait to be sent or for their outcome. */
  get inFlight(): number {
    return this.#queue.length + this.#sent.size;
  }

  produce(request: ProduceRequest, done: (outcome: ProduceOutcome) => void): void {
    if (this.isLocal) this.#options.local.produce(request, done);
    else this.#add(new ForwardedProduce(request, done, this.#deadlineUs(request.timeoutMs)));
  }

  kvPut(request: KvPutRequest, done: (outcome: KvPutOutcome) => void): void {
    if (this.isLocal) this.#options.local.kvPut(request, done);
    else this.#add(new ForwardedPut(request, done, this.#deadlineUs(request.timeoutMs)));
  }

  readonly calls: ForwardedCalls = Object.fromEntries(
    (Object.keys(CALL_RULES) as CallName[]).map((name) => [
      name,
      (...given: readonly unknown[]) => this.#call(name, given),
    ]),
    // Each name is there, with the arguments and the outcome of the call of that name.
  ) as unknown as ForwardedCalls;

  #call(name: CallName, given: readonly unknown[]): Promise<unknown> {
    if (this.isLocal) return (this.#options.local.calls[name] as AnyCall)(...given);
    const deadlineUs = this.#deadlineUs(timeoutOf(given));
    return CALL_RULES[name].waits === true
      ? this.#poll(name, given.slice(0, -1), given.at(-1) as AbortSignal, deadlineUs)
      : new Promise((resolve) => {
          this.#add(new ForwardedCall(name, given, null, resolve, deadlineUs));
        });
  }

  #poll(
    name: CallName,
    given: readonly unknown[],
    signal: AbortSignal,
    deadlineUs: number,
  ): Promise<unknown> {
    if (this.#polls.isFull) return Promise.resolve(rejection("overloaded"));
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const call = new ForwardedCall(name, given, signal, resolve, deadlineUs);
    const abort = () => this.#abort(call);
    this.#polls.begin();
    signal.addEventListener("abort", abort, { once: true });
    this.#add(call);
    if (signal.aborted) abort();
    return promise.finally(() => {
      this.#polls.end();
      signal.removeEventListener("abort", abort);
    });
  }

  /** Nobody waits for the outcome of a poll any more. */
  #abort(call: ForwardedCall): void {
    if (call.sentAs !== null) {
      this.#polls.cancel(call.sentAs);
      this.#schedule();
      return;
    }
    const at = this.#queue.indexOf(call);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    this.#queueBytes -= call.bytes;
    this.#count();
    call.settle(rejection("shutting_down"));
  }

  /** Called when role, term or leader have changed. */
  roleChanged(): void {
    this.#pump();
  }

  /** Tells a peer the mark of this node. */
  introduce(peer: NodeId, mark: string): void {
    if (this.#options.links.levelOf(peer) >= LEVEL_OF_COMMANDS) this.#tell(peer, INTRODUCE, [mark]);
  }

  /** Sends a call whose outcome does not matter. */
  #tell(peer: NodeId, name: string, given: readonly unknown[]): void {
    const { links, commitTimeoutMs } = this.#options;
    links.sendCommands(peer, "commands", (writer) => {
      const [number, firstId] = [++this.#lastFrame, ++this.#lastId];
      const at = beginCommands(writer, { epoch: this.#epoch, number, firstId });
      writeCall(writer, name, given, commitTimeoutMs);
      endCommands(writer, at, 1);
    });
  }

  linkUp(peer: NodeId): void {
    if (peer === this.#options.core.leader) this.#schedule();
  }

  /** Called when a link to or from the peer was lost: what was sent to it may have been executed. */
  linkLost(peer: NodeId): void {
    this.#giveUp(({ sentAs }) => sentAs?.peer === peer);
  }

  /** Receives a frame with outcomes. @throws FrameError */
  outcomes(peer: NodeId, payload: Uint8Array): void {
    const { epoch, outcomes } = readOutcomes(payload);
    if (epoch !== this.#epoch) return;
    const refused: Forwarded[] = [];
    for (const { id, outcome } of outcomes) {
      const forwarded = this.#sent.take(peer, id);
      if (forwarded === null) continue;
      if (this.#isNotDone(forwarded, outcome)) refused.push(forwarded);
      else this.#settle(forwarded, outcome);
    }
    if (refused.length > 0) this.#again(refused);
    if (this.#queue.length > 0) this.#schedule();
  }

  /** Refuses what was not sent. The outcome of everything else is unknown. */
  stop(): void {
    this.#refusal = "shutting_down";
    this.#cancelLook?.();
    this.#cancelDrain?.();
    this.#rejectQueued(() => "shutting_down");
    this.#giveUp(() => true);
  }

  /** True if this node executes its writes itself, or refuses them. */
  get isLocal(): boolean {
    const { forwards, core } = this.#options;
    return !forwards || core.role === "leader";
  }

  #deadlineUs(timeoutMs: number | null): number {
    const { clock, commitTimeoutMs } = this.#options;
    return clock.monotonic() + (timeoutMs ?? commitTimeoutMs) * 1000;
  }

  #add(forwarded: Forwarded): void {
    const refusal = this.#refusalOf(forwarded);
    if (refusal !== null) {
      forwarded.settle(rejection(refusal));
      return;
    }
    this.#queue.push(forwarded);
    this.#queueBytes += forwarded.bytes;
    this.#count();
    this.#schedule();
    this.#lookLater();
  }

  #refusalOf({ bytes }: Forwarded): WriteReject | null {
    if (this.#refusal !== null) return this.#refusal;
    if (this.#isLeft) return "no_leader";
    return this.#isFull(bytes) ? "overloaded" : null;
  }

  /** True if this node does not belong to the cluster, so that waiting for a leader is in vain. */
  get #isLeft(): boolean {
    const { core, isMember } = this.#options;
    return core.leader === null && !isMember();
  }

  /** The same as the queue of a leader: an empty one accepts every command. */
  #isFull(bytes: number): boolean {
    const { queueBytesMax, queueRequestsMax } = this.#options;
    const writes = this.inFlight - this.#polls.count;
    if (writes <= 0) return false;
    const full = this.#queueBytes + this.#sent.bytes + bytes > queueBytesMax;
    return full || writes >= queueRequestsMax;
  }

  /** Sends once in an event-loop iteration, so that its commands share a frame. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.clock.defer(() => {
      this.#scheduled = false;
      for (const [peer, ids] of this.#polls.takeCancelled()) this.#tell(peer, CANCEL, ids);
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#queue.length === 0 || this.#refusal !== null) return;
    const { core, links } = this.#options;
    if (core.role === "leader") {
      this.#runHere();
      return;
    }
    if (this.#isLeft) {
      this.#rejectQueued(() => "no_leader");
      return;
    }
    const { leader } = core;
    if (leader === null || this.#mustWait(leader) || !links.isUp(leader)) return;
    if (links.levelOf(leader) < LEVEL_OF_COMMANDS) {
      // A leader of an earlier version: the next requests are forwarded over HTTP.
      this.#rejectQueued(() => "not_leader");
      return;
    }
    while (this.#queue.length > 0 && this.#hasRoom(leader)) {
      if (!this.#sendFrame(leader)) return;
    }
    if (this.#queue.length > 0) this.#pumpWhenDrained();
  }

  #pumpWhenDrained(): void {
    this.#cancelDrain ??= this.#options.clock.after(DRAIN_MS, () => {
      this.#cancelDrain = null;
      this.#pump();
    });
  }

  #runHere(): void {
    for (const forwarded of this.#takeQueue()) {
      forwarded.runHere(this.#options.local, this.#budgetMs(forwarded));
    }
    this.#count();
  }

  #mustWait(leader: NodeId): boolean {
    const refused = this.#refused;
    if (refused === null) return false;
    const { core, clock } = this.#options;
    const isSame = refused.term === core.term && refused.leader === leader;
    if (isSame && clock.monotonic() < refused.untilUs) return true;
    this.#refused = null;
    return false;
  }

  #hasRoom(leader: NodeId): boolean {
    if (faultPoint("forwards-without-a-window")) return true;
    if (this.#options.links.backlogBytes(leader) > BACKLOG_BYTES_MAX) return false;
    const next = this.#queue[0];
    return next === undefined || this.#sent.takes(leader, next);
  }

  /** @returns false if the link dropped the frame. */
  #sendFrame(leader: NodeId): boolean {
    const { links, instruments } = this.#options;
    const firstId = this.#lastId + 1;
    let count = 0;
    let bytes = 0;
    let windowBytes = 0;
    const sent = links.sendCommands(leader, "commands", (writer) => {
      const number = this.#lastFrame + 1;
      const at = beginCommands(writer, { epoch: this.#epoch, number, firstId });
      const start = writer.length;
      const room = Math.min(this.#queue.length, this.#sent.roomFor(leader));
      while (count < Math.max(1, room)) {
        const forwarded = this.#queue[count] as Forwarded;
        windowBytes += forwarded.isPoll ? 0 : forwarded.bytes;
        const isFull = writer.length - start + forwarded.bytes > FRAME_BYTES_TARGET;
        if (count > 0 && (isFull || !this.#sent.fits(leader, windowBytes))) break;
        forwarded.write(writer, this.#budgetMs(forwarded));
        count++;
      }
      endCommands(writer, at, count);
      bytes = writer.length - start;
    });
    if (!sent) return false;
    this.#lastFrame++;
    for (const forwarded of this.#queue.splice(0, count)) {
      this.#lastId++;
      this.#sent.add(leader, this.#lastId, forwarded);
      this.#queueBytes -= forwarded.bytes;
    }
    instruments.forwardedCommands.value += count;
    instruments.forwardedBytes.value += bytes;
    return true;
  }

  #budgetMs({ deadlineUs }: Forwarded): number {
    const leftUs = deadlineUs - this.#options.clock.monotonic();
    return Math.max(1, Math.ceil(leftUs / 1000));
  }

  #isNotDone({ isOnce }: Forwarded, outcome: Outcome | null): boolean {
    if (faultPoint("forwards-again-after-an-unknown-outcome") && isUnknown(outcome)) return true;
    return !isOnce && outcome?.ok === false && NOT_DONE.has(outcome.code);
  }

  /** Puts refused writes back, in front of younger ones. */
  #again(refused: readonly Forwarded[]): void {
    const { core, clock, instruments } = this.#options;
    const untilUs = clock.monotonic() + RETRY_MS * 1000;
    this.#refused = { term: core.term, leader: core.leader, untilUs };
    this.#queue = [...refused, ...this.#queue];
    for (const { bytes } of refused) this.#queueBytes += bytes;
    instruments.forwardedAgain.value += refused.length;
    this.#count();
  }

  #settle(forwarded: Forwarded, outcome: Outcome | null): void {
    if (outcome === null) this.#options.instruments.forwardedUnknown.value++;
    this.#count();
    forwarded.settle(outcome);
  }

  #takeQueue(): readonly Forwarded[] {
    const taken = this.#queue;
    this.#queue = [];
    this.#queueBytes = 0;
    return taken;
  }

  #rejectQueued(codeOf: () => WriteReject): void {
    const rejected = this.#takeQueue();
    this.#count();
    this.#options.instruments.forwardedUnsent.value += rejected.length;
    for (const forwarded of rejected) forwarded.settle(rejection(codeOf()));
  }

  #giveUp(isLost: (forwarded: Forwarded) => boolean): void {
    for (const forwarded of this.#sent.takeLost(isLost)) this.#settle(forwarded, null);
  }

  #lookLater(): void {
    if (this.#cancelLook !== null || this.inFlight === 0) return;
    this.#cancelLook = this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.#cancelLook = null;
      this.#look();
      this.#lookLater();
    });
  }

  /** Ends what has waited for too long, and sends again what waited for the link. */
  #look(): void {
    const nowUs = this.#options.clock.monotonic();
    this.#giveUp(({ deadlineUs, waitUs }) => deadlineUs + waitUs + GRACE_US <= nowUs);
    const late = this.#queue.filter(({ deadlineUs }) => deadlineUs <= nowUs);
    if (late.length > 0) this.#rejectLate(late, nowUs);
    this.#pump();
  }

  #rejectLate(late: readonly Forwarded[], nowUs: number): void {
    const { core, instruments } = this.#options;
    this.#queue = this.#queue.filter(({ deadlineUs }) => deadlineUs > nowUs);
    for (const { bytes } of late) this.#queueBytes -= bytes;
    this.#count();
    instruments.forwardedUnsent.value += late.length;
    // With a leader that answers, only the window can have held them back.
    const isUp = core.leader !== null && this.#options.links.isUp(core.leader);
    const code = isUp && this.#refused === null ? "overloaded" : "no_leader";
    for (const forwarded of late) forwarded.settle(rejection(code));
  }

  #count(): void {
    this.#options.instruments.forwardsInFlight.value = this.inFlight;
  }
}

const rejection = (code: WriteReject): Rejected<WriteReject> => ({ ok: false, code });
const isUnknown = (outcome: Outcome | null): boolean =>
  outcome === null || (!outcome.ok && outcome.code === "commit_timeout");
