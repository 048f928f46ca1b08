import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import { ByteWriter } from "../../lib/bytes.ts";
import type { NodeId } from "../../lib/ids.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { KvPutOutcome, ProduceOutcome } from "../api.ts";
import { CALL_RULES, CANCEL, type CallName, INTRODUCE } from "./calls.ts";
import { type Command, readCommands } from "./command-codec.ts";
import type { AnyCall, LocalWrites } from "./forwarded.ts";
import type { ForwardLinks } from "./forwarder.ts";
import {
  type Outcome,
  writeFailed,
  writeOther,
  writeProduced,
  writeWritten,
} from "./outcome-codec.ts";

/** Outcomes are sent when they have this many bytes, also before the iteration ends. */
const FRAME_BYTES_TARGET = 64 * 1024;

export type CommandServerOptions = {
  readonly local: LocalWrites;
  readonly links: Pick<ForwardLinks, "sendCommands">;
  readonly clock: Pick<Clock, "defer">;
  readonly instruments: Pick<Instruments, "forwardedServed">;
};

/** Executes the commands of followers and sends their outcomes back. */
export class CommandServer {
  readonly #options: CommandServerOptions;
  readonly #followers = new Map<NodeId, Follower>();
  readonly #marks = new Map<NodeId, string>();

  constructor(options: CommandServerOptions) {
    this.#options = options;
  }

  /** True if a node has told this mark. */
  knows(mark: string): boolean {
    return this.#marks.values().some((known) => known === mark);
  }

  /**
   * Executes the commands of a frame. If this node does not lead, each is refused: it is not
   * forwarded once more.
   *
   * @throws FrameError
   */
  commands(peer: NodeId, payload: Uint8Array): void {
    const { epoch, number, firstId, commands } = readCommands(payload);
    const follower = this.#followerOf(peer, epoch);
    // A frame that arrives twice, or after a later one.
    if (number <= follower.lastFrame && !faultPoint("forwarded-frames-executed-twice")) return;
    follower.lastFrame = number;
    for (let at = 0; at < commands.length; at++) {
      const command = commands[at] as Command;
      if (this.#isTold(peer, follower, command)) continue;
      this.#options.instruments.forwardedServed.value++;
      this.#execute(follower, firstId + at, command);
    }
  }

  /** Called when a link to or from the peer was lost: no outcome reaches it, so it gets no records. */
  lost(peer: NodeId): void {
    if (!faultPoint("forwarded-waits-outlive-their-link")) this.#followers.get(peer)?.endWaits();
  }

  /** Handles a call that is not a write. @returns false if it is a write. */
  #isTold(peer: NodeId, follower: Follower, command: Command): boolean {
    if (command.kind !== "call") return false;
    const { name, given } = command;
    if (name === INTRODUCE) this.#marks.set(peer, String(given[0]));
    else if (name === CANCEL) for (const id of given) follower.waits.get(Number(id))?.abort();
    else return false;
    return true;
  }

  #followerOf(peer: NodeId, epoch: number): Follower {
    const known = this.#followers.get(peer);
    if (known?.epoch === epoch) return known;
    // Its process was restarted: nobody waits for the outcomes of the previous one.
    known?.endWaits();
    const { links, clock } = this.#options;
    const follower = new Follower(epoch, clock, (outcomes, count) =>
      links.sendCommands(peer, "outcomes", (writer) => {
        writer.u64(epoch);
        writer.varint(count);
        writer.raw(outcomes);
      }),
    );
    this.#followers.set(peer, follower);
    return follower;
  }

  #execute(follower: Follower, id: number, command: Command): void {
    const { local } = this.#options;
    switch (command.kind) {
      case "produce":
        local.produce(command.request, (outcome) => follower.produced(id, outcome));
        return;
      case "kvPut":
        local.kvPut(command.request, (outcome) => follower.written(id, outcome));
        return;
      case "call":
        this.#call(follower, id, command.name, command.given);
    }
  }

  #call(follower: Follower, id: number, name: string, given: readonly unknown[]): void {
    const { calls } = this.#options.local;
    if (!Object.hasOwn(calls, name)) {
      follower.called(id, unknownCall(name));
      return;
    }
    const call = calls[name as CallName] as AnyCall;
    const waits = CALL_RULES[name as CallName].waits === true;
    const outcome = waits ? call(...given, follower.beginWait(id)) : call(...given);
    outcome
      .then(
        (known) => follower.called(id, known as Outcome),
        () => follower.called(id, null),
      )
      .finally(() => follower.waits.delete(id));
  }
}

/** A follower of a later version, while the members are upgraded. */
const unknownCall = (name: string): Outcome => ({
  ok: false,
  code: "cluster_not_upgraded",
  message: `The leader runs an earlier version that does not take "${name}" from other nodes: send the request to the leader, or upgrade it`,
});

/** The process of a follower: the last frame that it sent, and outcomes on their way to it. */
class Follower {
  readonly epoch: number;
  lastFrame = 0;
  /** Calls that wait, by their ids. */
  readonly waits = new Map<number, AbortController>();
  readonly #clock: Pick<Clock, "defer">;
  readonly #send: (outcomes: Uint8Array, count: number) => void;
  readonly #writer = new ByteWriter(4096);
  #count = 0;
  #scheduled = false;

  constructor(
    epoch: number,
    clock: Pick<Clock, "defer">,
    send: (outcomes: Uint8Array, count: number) => void,
  ) {
    this.epoch = epoch;
    this.#clock = clock;
    this.#send = send;
  }

  beginWait(id: number): AbortSignal {
    const wait = new AbortController();
    this.waits.set(id, wait);
    return wait.signal;
  }

  endWaits(): void {
    for (const wait of this.waits.values()) wait.abort();
    this.waits.clear();
  }

  produced(id: number, outcome: ProduceOutcome): void {
    this.#writer.varint(id);
    writeProduced(this.#writer, outcome);
    this.#added();
  }

  written(id: number, outcome: KvPutOutcome): void {
    this.#writer.varint(id);
    writeWritten(this.#writer, outcome);
    this.#added();
  }

  /** Adds the outcome of a call; null: the leader failed. */
  called(id: number, outcome: Outcome | null): void {
    this.#writer.varint(id);
    if (outcome === null) writeFailed(this.#writer);
    else writeOther(this.#writer, outcome);
    this.#added();
  }

  /** All outcomes of an event-loop iteration share a frame. */
  #added(): void {
    this.#count++;
    if (this.#writer.length >= FRAME_BYTES_TARGET) {
      this.#flush();
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.defer(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#count === 0) return;
    this.#send(this.#writer.view(), this.#count);
    this.#writer.clear();
    this.#count = 0;
  }
}
