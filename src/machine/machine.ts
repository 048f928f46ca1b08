import { applyCommitOffset } from "../broker/commands/commit-offset.ts";
import { applyConfigure } from "../broker/commands/configure.ts";
import { applyCreateTopic } from "../broker/commands/create-topic.ts";
import { applyDeleteBefore } from "../broker/commands/delete-before.ts";
import { applyDeleteGroup } from "../broker/commands/delete-group.ts";
import { applyDeleteTopic } from "../broker/commands/delete-topic.ts";
import { applyProduce } from "../broker/commands/produce.ts";
import { applySetRetention } from "../broker/commands/set-retention.ts";
import { applyTrim } from "../broker/commands/trim.ts";
import { evictOldKeys } from "../broker/idempotency.ts";
import type { BrokerEffects, BrokerState } from "../broker/state.ts";
import { applyKvDelete } from "../kv/commands/delete.ts";
import { expireKeys, nextKvExpiry } from "../kv/commands/expire.ts";
import { applyKvPut } from "../kv/commands/put.ts";
import type { KvState } from "../kv/state.ts";
import { unreachable } from "../lib/assert.ts";
import type { Millis } from "../lib/ids.ts";
import { decodeEntry } from "./command-decoder.ts";
import type { Command, CommandResult, TickResult } from "./commands.ts";
import { digestState } from "./digest.ts";
import { applyRaiseLevel } from "./levels.ts";
import {
  applyPutMember,
  applyRemoveMember,
  type MemberEffects,
  type MemberMap,
} from "./members.ts";
import { MachineSnapshot } from "./snapshot.ts";
import { SnapshotRestorer } from "./snapshot-restorer.ts";
import { emptyState, type MachineState } from "./state.ts";
import type { ChecksumEffects } from "./state-checksum.ts";
import { applyDeleteView, applyPutView, applySaveView, type ViewsState } from "./views.ts";

/** Effects that the caller carries out, in order, while an entry is applied. */
export interface Effects extends BrokerEffects, MemberEffects, ChecksumEffects {
  /** Called once for each command of the entry, in order, after its other effects. */
  result(position: number, result: CommandResult): void;
}

/** Limits of one tick, so that an entry does not take long to apply. */
export const KEYS_FREED_PER_TICK_MAX = 2_000;
export const DUPLICATES_FORGOTTEN_PER_TICK_MAX = 10_000;

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
      effects.result(i, this.#applyCommand(commands[i] as Command, effects));
    }
  }

  /** Returns the earliest time at which a tick would free something; null if nothing can expire. */
  nextExpiry(): number | null {
    const { broker } = this;
    if (broker.isOverfull) return this.now;
    const forgets = broker.oldestDedupeAt + broker.limits.dedupeWindowMs;
    const frees = nextKvExpiry(this.kv);
    const next = Math.min(forgets, frees);
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

  #applyCommand(command: Command, effects: Effects): CommandResult {
    const { broker, kv, now } = this;
    switch (command.type) {
      case "produce":
        return applyProduce(broker, command, now, effects);
      case "commit_offset":
        return applyCommitOffset(broker, command);
      case "kv_put":
        return applyKvPut(kv, command, now);
      case "kv_delete":
        return applyKvDelete(kv, command, now);
      case "tick":
        return this.#applyTick();
      case "trim":
        return applyTrim(broker, command, effects);
      case "delete_before":
        return applyDeleteBefore(broker, command, effects);
      case "create_topic":
        return applyCreateTopic(broker, command, effects);
      case "delete_topic":
        return applyDeleteTopic(broker, command, effects);
      case "delete_group":
        return applyDeleteGroup(broker, command);
      case "set_retention":
        return applySetRetention(broker, command);
      case "configure":
        return applyConfigure(broker, command);
      case "put_member":
        return applyPutMember(this.members, command, effects);
      case "remove_member":
        return applyRemoveMember(this.members, command, effects);
      case "put_view":
        return applyPutView(this.views, command);
      case "delete_view":
        return applyDeleteView(this.views, command);
      case "save_view":
        return applySaveView(this.views, command);
      case "raise_level":
        return applyRaiseLevel(this, command);
      case "checksum":
        effects.checksum(command);
        return { ok: true, type: "checksum" };
      default:
        return unreachable(command);
    }
  }

  #applyTick(): TickResult {
    return {
      ok: true,
      type: "tick",
      keysFreed: expireKeys(this.kv, this.now, KEYS_FREED_PER_TICK_MAX),
      duplicatesForgotten: evictOldKeys(this.broker, this.now, DUPLICATES_FORGOTTEN_PER_TICK_MAX),
    };
  }
}
