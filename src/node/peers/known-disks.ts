import { feature as faultPoint } from "bun:bundle";
import { UnknownEntryError } from "../../lib/command-kind.ts";
import type { NodeId } from "../../lib/ids.ts";
import { decodeEntry } from "../../machine/command-codec.ts";
import type { Command } from "../../machine/commands.ts";
import type { MemberRecord } from "../../machine/members.ts";
import type { Core } from "../../raft/core.ts";
import type { Entry } from "../../raft/types.ts";

/** The disk of a member after a command that is not applied yet. Null: not known any more. */
type Change = { readonly index: number; readonly id: NodeId; readonly storageId: string | null };

/**
 * The disk of each member according to this node's log, including entries that are not applied yet.
 * A node that has just started has applied few entries, and a replacement of a lost disk must not
 * vote in place of the old one.
 */
export class KnownDisks {
  readonly #core: Core;
  readonly #records: () => ReadonlyMap<NodeId, MemberRecord>;
  /** Sorted by log index. */
  #changes: Change[] = [];

  /** @param entries the log entries after the checkpoint. */
  constructor(
    core: Core,
    records: () => ReadonlyMap<NodeId, MemberRecord>,
    entries: readonly Entry[],
  ) {
    this.#core = core;
    this.#records = records;
    if (!faultPoint("disk-is-known-when-applied")) this.#scan(entries);
  }

  /** Called when these entries are on this node's disk. They replace conflicting ones. */
  appended(entries: readonly Entry[]): void {
    const first = entries[0]?.index;
    if (first === undefined) return;
    const applied = this.#core.appliedIndex;
    if (this.#changes.length > 0) {
      this.#changes = this.#changes.filter(({ index }) => index > applied && index < first);
    }
    // Once all voters are known, another disk is learned when its command is applied.
    const { voters } = this.#core.configuration;
    if (voters.some((id) => this.storageIdOf(id) === null)) this.#scan(entries);
  }

  /** Null: the node is not a member, or its disk is not known yet. */
  storageIdOf(id: NodeId): string | null {
    const applied = this.#core.appliedIndex;
    const change = this.#changes.findLast((one) => one.id === id && one.index > applied);
    return change === undefined ? (this.#records().get(id)?.storageId ?? null) : change.storageId;
  }

  #scan(entries: readonly Entry[]): void {
    for (const { type, index, data } of entries) {
      if (type !== "normal" || data.length === 0) continue;
      for (const command of commandsOf(data)) this.#note(index, command);
    }
  }

  #note(index: number, command: Command): void {
    if (command.type === "remove_member") {
      this.#changes.push({ index, id: command.id, storageId: null });
    } else if (command.type === "put_member") {
      const { id, resetStorageId } = command;
      const storageId = command.storageId ?? (resetStorageId ? null : this.storageIdOf(id));
      this.#changes.push({ index, id, storageId });
    }
  }
}

/** Ignores commands of a later release: they are refused when they are applied. */
function commandsOf(data: Uint8Array): readonly Command[] {
  try {
    return decodeEntry(data).commands;
  } catch (error) {
    if (error instanceof UnknownEntryError) return [];
    throw error;
  }
}
