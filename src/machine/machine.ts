import type { BrokerState } from "../broker/state.ts";
import type { KvState } from "../kv/state.ts";
import type { Millis } from "../lib/ids.ts";
import { decodeEntry } from "./command-codec.ts";
import {
  type AnyKind,
  type Command,
  type CommandEffects,
  type CommandResult,
  kindOf,
} from "./commands.ts";
import { digestState } from "./digest.ts";
import { nextDueAt } from "./due.ts";
import type { MemberMap } from "./members.ts";
import type { PartStates } from "./parts.ts";
import { MachineSnapshot } from "./snapshot.ts";
import { SnapshotRestorer } from "./snapshot-restorer.ts";
import { emptyState, type MachineState } from "./state.ts";
import type { ViewsState } from "./views.ts";

/** Effects that the caller carries out, in order, while an entry is applied. */
export interface Effects extends CommandEffects {
  /** Called once for each command of the entry, in order, after its other effects. */
  result(position: number, result: CommandResult, kind: AnyKind): void;
}

/**
 * The replicated state: the same entries in the same order produce the same state on every node. It
 * contains no records. Records are passed on as effects, and the machine keeps their offsets.
 */
export class Machine implements MachineState {
  /** Replaced as a whole by a snapshot, so that no part of the former state can be left over. */
  #state: MachineState;

  /** @param state of a snapshot, from `SnapshotRestorer`; absent: empty. */
  constructor(state: MachineState = emptyState()) {
    this.#state = state;
  }

  get broker(): BrokerState {
    return this.#state.broker;
  }

  get kv(): KvState {
    return this.#state.kv;
  }

  /** Addresses of the nodes of the cluster. */
  get members(): MemberMap {
    return this.#state.members;
  }

  get views(): ViewsState {
    return this.#state.views;
  }

  /** The parts that describe themselves. See `parts.ts`. */
  get parts(): PartStates {
    return this.#state.parts;
  }

  /** Level of the log: see `levels.ts`. */
  get level(): number {
    return this.#state.level;
  }

  set level(level: number) {
    this.#state.level = level;
  }

  /** The machine's clock: the highest time of any entry so far. */
  get now(): Millis {
    return this.#state.now;
  }

  set now(now: Millis) {
    this.#state.now = now;
  }

  /** A snapshot of another node takes the place of the state. Holders of this machine then see it. */
  replace(state: MachineState): void {
    state.broker.dedupeKeysCut += this.broker.dedupeKeysCut;
    state.parts.producers.droppedEarly += this.parts.producers.droppedEarly;
    this.#state = state;
  }

  /** @throws DecodeError if the bytes are no whole snapshot. */
  static restore(chunks: Iterable<Uint8Array>): Machine {
    const restorer = new SnapshotRestorer();
    for (const chunk of chunks) restorer.push(chunk);
    return new Machine(restorer.finish());
  }

  /**
   * Applies one committed entry whole. Raft's own empty entries are not for the machine.
   *
   * @throws UnknownEntryError, DecodeError before anything was changed: the node must halt, since
   *   an entry that is skipped makes it differ from the others.
   */
  apply(payload: Uint8Array, effects: Effects): void {
    const entry = decodeEntry(payload);
    if (entry.at > this.now) this.now = entry.at;
    const { commands } = entry;
    for (let i = 0; i < commands.length; i++) {
      const command = commands[i] as Command;
      const kind = kindOf(command.type);
      effects.result(i, kind.apply(this, command, effects), kind);
    }
  }

  /** Returns the earliest time at which a tick would free something; null if nothing can expire. */
  nextExpiry(): number | null {
    const next = nextDueAt(this);
    return next === Number.POSITIVE_INFINITY ? null : next;
  }

  /** Captures the current state, which is encoded in many steps while `apply` continues. */
  beginSnapshot(): MachineSnapshot {
    return new MachineSnapshot(this);
  }

  /** Equal for equal states, however they came about. Walks the whole state: not for the loop. */
  digest(): number {
    return digestState(this);
  }
}
