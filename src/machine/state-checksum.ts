/**
 * What the commands of a run of entries came to, in one number: equal on all nodes whose states are
 * equal. The state itself is too large to be hashed again and again, so what is hashed is what it
 * answered: offsets, revisions, decisions about duplicates, what was freed; and its counters at the
 * end of the run. A difference between two states is found when a command first meets it.
 */
import { feature as faultPoint } from "bun:bundle";
import { ByteWriter } from "../lib/bytes.ts";
import { crc32 } from "../lib/crc32.ts";
import type { CommandResult } from "./commands.ts";
import type { MachineState } from "./state.ts";

/** To be raised with any change of what is hashed: nodes of two versions do not compare. */
export const STATE_CHECKSUM_VERSION = 1;
/** Entries of a run: it ends with each index that is a multiple of this. */
export const STATE_CHECKSUM_ENTRIES = 4096;
const HASH_BYTES = 16 * 1024;
/** A leader announces a run within a second or two; others may have applied more by then. */
const REMEMBERED = 64;

/** A command of the leader: what the run that ended with entry `index` came to there. */
export type Checksum = {
  readonly type: "checksum";
  readonly version: number;
  readonly index: number;
  /** 32 bits. */
  readonly digest: number;
};
export type ChecksumResult = { readonly ok: true; readonly type: "checksum" };

export interface ChecksumEffects {
  checksum(checksum: Checksum): void;
}

/** This node applied the same entries as the leader, and they came to something else. */
export class StateDiverged extends Error {
  override readonly name = "StateDiverged";

  constructor(index: number, own: number, announced: number) {
    super(
      `the state of this node is not that of the leader: the entries up to ${index} came to ` +
        `${own.toString(16)} here and to ${announced.toString(16)} there. Nothing more is served ` +
        "from it: replace this node's data directory and let it catch up",
    );
  }
}

type Success = Extract<CommandResult, { readonly ok: true }>;
/** Never renumber. */
const TYPES: Readonly<Record<Success["type"], number>> = {
  produce: 1,
  commit_offset: 2,
  kv_put: 3,
  kv_delete: 4,
  delete_before: 5,
  trim: 6,
  tick: 7,
  create_topic: 8,
  delete_topic: 9,
  set_retention: 10,
  configure: 11,
  put_member: 12,
  remove_member: 13,
  put_view: 14,
  delete_view: 15,
  save_view: 16,
  checksum: 17,
  delete_group: 18,
  raise_level: 19,
};

export class StateChecksum {
  readonly #every: number;
  readonly #writer = new ByteWriter(2 * HASH_BYTES);
  #crc = 0;
  #next = -1;
  /** All entries of the present run were seen. */
  #isWhole = false;
  readonly #digests = new Map<number, number>();
  #newest: Checksum | null = null;

  constructor(every = STATE_CHECKSUM_ENTRIES) {
    this.#every = every;
  }

  /** The last run that this node has seen from beginning to end. */
  get newest(): Checksum | null {
    return this.#newest;
  }

  /** An entry is about to be applied. After a snapshot they go on elsewhere. */
  begin(index: number): void {
    if (index !== this.#next) this.#isWhole = false;
    if ((index - 1) % this.#every === 0) {
      this.#writer.clear();
      this.#crc = 0;
      this.#isWhole = true;
    }
    this.#next = index + 1;
  }

  /** What a command came to. */
  result(result: CommandResult): void {
    const writer = this.#writer;
    if (!result.ok) {
      writer.u8(0);
      writer.text(result.code);
      return;
    }
    writer.u8(TYPES[result.type]);
    switch (result.type) {
      case "produce":
        writer.u8(result.duplicate ? 1 : 0);
        this.numbers(result.firstOffset, result.count);
        break;
      case "commit_offset":
        this.numbers(result.committedOffset, 0);
        break;
      case "kv_put":
        this.numbers(result.cas, 0);
        break;
      case "kv_delete":
        writer.u8(result.deleted ? 1 : 0);
        break;
      case "delete_group":
        this.numbers(result.offsets, 0);
        break;
      case "delete_before":
      case "trim":
        this.numbers(result.deletedCount, result.freedBytes);
        break;
      case "tick":
        this.numbers(result.keysFreed, result.duplicatesForgotten);
        break;
      default:
      // The others change what the counters tell, or next to nothing.
    }
  }

  numbers(a: number, b: number): void {
    this.#writer.u64(a);
    this.#writer.u64(b);
    if (this.#writer.length >= HASH_BYTES) this.#hash();
  }

  /** The entry is applied: ends the run, if it is the last of one. */
  end(index: number, { broker, kv, members, views, level, now }: MachineState): void {
    if (index % this.#every !== 0 || !this.#isWhole) return;
    this.numbers(now, broker.retentionRevision);
    this.numbers(broker.nextTopicId, broker.topicsById.size);
    this.numbers(kv.size, kv.bytes);
    this.numbers(kv.nextNamespaceId, views.nextViewId);
    this.numbers(members.size, level);
    this.#hash();
    this.#digests.set(index, this.#crc);
    const oldest = this.#digests.keys().next().value;
    if (this.#digests.size > REMEMBERED && oldest !== undefined) this.#digests.delete(oldest);
    const digest = this.#crc;
    this.#newest = { type: "checksum", version: STATE_CHECKSUM_VERSION, index, digest };
  }

  /**
   * @returns whether it could be compared: the run was seen here, by the same version.
   * @throws StateDiverged
   */
  compare({ version, index, digest }: Checksum): boolean {
    const own = this.#digests.get(index);
    if (version !== STATE_CHECKSUM_VERSION || own === undefined) return false;
    if (own !== digest && !faultPoint("checksums-are-not-compared")) {
      throw new StateDiverged(index, own, digest);
    }
    return true;
  }

  #hash(): void {
    this.#crc = crc32(this.#writer.view(), this.#crc);
    this.#writer.clear();
  }
}
