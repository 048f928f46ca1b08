/**
 * A checksum of the results of a run of entries, equal on all nodes whose states are equal. The state
 * is too large to be hashed repeatedly, so the results are hashed: offsets, revisions, duplicates,
 * freed keys, and the counters at the end of the run. A difference between two states is found when
 * a command first depends on it.
 */
import { feature as faultPoint } from "bun:bundle";
import { ByteWriter } from "../lib/bytes.ts";
import type { CommandKind, Summary } from "../lib/command-kind.ts";
import { crc32 } from "../lib/crc32.ts";
import type { AnyKind, CommandResult } from "./commands.ts";
import { namedParts, stateOf } from "./parts.ts";
import type { MachineState } from "./state.ts";

/** Increment it with any change of the hashed data: nodes of different versions do not compare. */
export const STATE_CHECKSUM_VERSION = 2;
/** Length of a run; a run ends at each index that is a multiple of it. */
export const STATE_CHECKSUM_ENTRIES = 4096;
const HASH_BYTES = 16 * 1024;
/** Number of recent runs that are kept, because a leader announces a run a second or two later. */
const REMEMBERED = 64;

/** A command of the leader with its checksum of the run that ended with entry `index`. */
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

/** This node applied the same entries as the leader with different results. */
export class StateDiverged extends Error {
  override readonly name = "StateDiverged";

  constructor(index: number, own: number, announced: number) {
    super(
      `the state of this node differs from the leader's: the checksum of the entries up to ${index} ` +
        `is ${own.toString(16)} here and ${announced.toString(16)} there. This node stops: replace ` +
        "its data directory and let it catch up",
    );
  }
}

/** u8 version of what is hashed, u64 index, u32 digest. */
export const checksum: CommandKind<Checksum, ChecksumResult, unknown, ChecksumEffects> = {
  type: "checksum",
  tag: 17,
  encode(body, { version, index, digest }) {
    body.u8(version);
    body.u64(index);
    body.u32(digest);
  },
  decode: (body) => ({
    type: "checksum",
    version: body.u8(),
    index: body.u64(),
    digest: body.u32(),
  }),
  apply(_state, command, effects) {
    effects.checksum(command);
    return { ok: true, type: "checksum" };
  },
};

export class StateChecksum implements Summary {
  readonly #every: number;
  readonly #writer = new ByteWriter(2 * HASH_BYTES);
  #crc = 0;
  #next = -1;
  /** True if all entries of the current run were seen. */
  #isWhole = false;
  readonly #digests = new Map<number, number>();
  #newest: Checksum | null = null;

  constructor(every = STATE_CHECKSUM_ENTRIES) {
    this.#every = every;
  }

  /** The last run that this node has seen completely. */
  get newest(): Checksum | null {
    return this.#newest;
  }

  /** Called before an entry is applied. After a snapshot the indexes are not consecutive. */
  begin(index: number): void {
    if (index !== this.#next) this.#isWhole = false;
    if ((index - 1) % this.#every === 0) {
      this.#writer.clear();
      this.#crc = 0;
      this.#isWhole = true;
    }
    this.#next = index + 1;
  }

  /** Adds the result of a command. */
  result(kind: Pick<AnyKind, "tag" | "summaryId" | "summarize">, result: CommandResult): void {
    const writer = this.#writer;
    if (!result.ok) {
      writer.u8(0);
      writer.text(result.code);
      return;
    }
    writer.u8(kind.summaryId ?? kind.tag);
    kind.summarize?.(result, this);
  }

  flag(yes: boolean): void {
    this.#writer.u8(yes ? 1 : 0);
  }

  numbers(a: number, b: number): void {
    this.#writer.u64(a);
    this.#writer.u64(b);
    if (this.#writer.length >= HASH_BYTES) this.#hash();
  }

  /** Called after an entry was applied; ends the run if the entry is its last. */
  end(index: number, state: MachineState): void {
    if (index % this.#every !== 0 || !this.#isWhole) return;
    this.numbers(state.now, state.level);
    for (const [name, part] of namedParts) {
      const counts = part.counts(stateOf(state, name));
      // Nothing for an empty part, so that versions without it have the same checksum.
      if (counts.some((count) => count !== 0)) for (const count of counts) this.#writer.u64(count);
    }
    this.#hash();
    this.#digests.set(index, this.#crc);
    const oldest = this.#digests.keys().next().value;
    if (this.#digests.size > REMEMBERED && oldest !== undefined) this.#digests.delete(oldest);
    const digest = this.#crc;
    this.#newest = { type: "checksum", version: STATE_CHECKSUM_VERSION, index, digest };
  }

  /**
   * @returns true if it could be compared: the run was seen here, by the same version.
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
