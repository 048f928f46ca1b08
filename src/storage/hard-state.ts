/**
 * Term and vote, which must be durable before any answer that follows from them. One file of two
 * blocks, each with a complete state:
 *
 *     0     slot A      4096  slot B
 *
 *     0  u32  checksum: bytes 4 … 4096 of the slot, seeded with the node's identity
 *     4  u32  magic "AyHs"
 *     8  u32  format version
 *    12  u32  length of the body
 *    16  u64  sequence, grows by one with each save
 *    24       body: u64 term, u64 commit, u8 whether there is a vote, text vote; rest zero
 *
 * A save writes A, syncs, writes B, syncs. So one slot is intact at every moment, and after a save
 * both are equal, so one that is damaged later costs nothing. (With one slot per save, a damaged
 * newest slot would look like a torn one, and the node would vote twice in a term.)
 */
import { feature as faultPoint } from "bun:bundle";
import { type Disk, DiskFailure, type DiskFile, DiskFull } from "../env/disk.ts";
import { assert } from "../lib/assert.ts";
import { ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import { crc32 } from "../lib/crc32.ts";
import type { NodeId } from "../lib/ids.ts";
import { type HardState, INDEX_0, type LogIndex, TERM_0, type Term } from "../raft/types.ts";

const SLOT_BYTES = 4096;
const HEADER_BYTES = 24;
const MAGIC = 0x73487941;
const VERSION = 1;
const SLOTS = [0, 1] as const;
const DONE: Promise<void> = Promise.resolve();

export const INITIAL_HARD_STATE: HardState = { term: TERM_0, vote: null, commit: INDEX_0 };

/**
 * Thrown if neither slot can be read. The node may have voted and does not know for whom, so it
 * must not take part in elections with a guess.
 */
export class HardStateDamaged extends Error {
  override readonly name = "HardStateDamaged";
}

/** Thrown if a later version wrote the file. */
export class HardStateUnsupported extends Error {
  override readonly name = "HardStateUnsupported";
}

export type Slot = { readonly sequence: number; readonly state: HardState };

export type HardStateOpened = {
  readonly file: HardStateFile;
  readonly state: HardState;
  /** The slot that was invalid and is repaired now, for the log; null if both were valid. */
  readonly repaired: string | null;
};

export class HardStateFile {
  readonly #file: DiskFile;
  readonly #identity: number;
  #state: HardState;
  /** The content of the newest slot, and the content that is durable in both. */
  #saved: HardState;
  #synced: HardState;
  /** The highest commit index that a caller wants to be durable. */
  #wantedCommit = 0;
  #sequence: number;
  /** The slot that is overwritten first. The other one must be intact meanwhile. */
  #order: readonly number[] = SLOTS;
  #saving: Promise<void> | null = null;
  /** A write that is not synced, so no save may join it. */
  #hinting: Promise<void> | null = null;
  #failure: unknown = null;

  /** Writes both slots durably, replacing the file. Default: a node that has never run. */
  static async create(
    disk: Disk,
    path: string,
    identity: number,
    state: HardState = INITIAL_HARD_STATE,
  ): Promise<void> {
    const bytes = new Uint8Array(2 * SLOT_BYTES);
    const slot = encodeSlot(1, state, identity);
    bytes.set(slot, 0);
    bytes.set(slot, SLOT_BYTES);
    await disk.writeWhole(path, bytes);
  }

  /**
   * @throws HardStateDamaged if the file is missing or neither slot is valid.
   * @throws HardStateUnsupported, DiskFailure
   */
  static async open(disk: Disk, path: string, identity: number): Promise<HardStateOpened> {
    const bytes = await disk.readWhole(path);
    if (bytes === null) throw new HardStateDamaged(`${path} is missing: term and vote are unknown`);
    const { a, b } = decodeSlots(bytes, identity, path);
    let newest = a !== null && (b === null || a.sequence >= b.sequence) ? a : b;
    if (faultPoint("torn-vote-slot-defaults-to-zero")) {
      newest ??= { sequence: 0, state: INITIAL_HARD_STATE };
    }
    if (newest === null) {
      throw new HardStateDamaged(
        `${path}: both slots have a wrong checksum, so term and vote are unknown. Replace this ` +
          "node's data directory and let it join again with a new storage id",
      );
    }
    const file = await disk.open(path, "existing");
    const opened = new HardStateFile(file, identity, newest);
    const repaired = a !== null && b !== null ? null : describe(path, a, b);
    opened.#order = repairOrder(a, b);
    // After a kill, the content that was read may be in the page cache only. It is synced before a
    // slot is overwritten, so that a power loss during the first write does not damage both slots.
    await file.sync();
    if (a?.sequence !== b?.sequence) await opened.#repair();
    return { file: opened, state: newest.state, repaired };
  }

  private constructor(file: DiskFile, identity: number, slot: Slot) {
    this.#file = file;
    this.#identity = identity;
    this.#state = slot.state;
    this.#saved = slot.state;
    this.#synced = slot.state;
    this.#sequence = slot.sequence;
  }

  /** The latest state, which may not be on disk yet. */
  get state(): HardState {
    return this.#state;
  }

  /**
   * Saves the term and the vote. They are durable in both slots when this resolves. A call during a
   * save joins it, and the later state wins. A commit index that changed alone stays in memory: it
   * is only a hint for the next start, and is written with the next save, `saveCommit` or `close`.
   *
   * @param need `commit: true` makes the commit index durable too, which a membership change needs
   * before it takes effect (`Persist.syncCommit`).
   * @throws DiskFull if an overwrite needs space and there is none; the call may be repeated.
   * @throws DiskFailure, and again on every later call.
   */
  save(state: HardState, need: { readonly commit?: boolean } = {}): Promise<void> {
    assert(state.term >= this.#state.term, "the term never goes back");
    this.#state = state;
    if (need.commit === true) this.#wantedCommit = Math.max(this.#wantedCommit, state.commit);
    if (this.#saving !== null) return this.#saving;
    if (this.#failure === null && this.#isCovered()) return DONE;
    this.#saving = this.#saveLatest();
    return this.#saving;
  }

  /**
   * Writes the commit index to one slot without a sync, since either slot is a valid state. It is
   * only a hint, so it is dropped if there is no space for it.
   */
  async saveCommit(): Promise<void> {
    if (this.#saving !== null || this.#hinting !== null) return;
    if (this.#state.commit === this.#saved.commit) return;
    this.#hinting = this.#write(this.#order.slice(0, 1), false)
      .catch((error) => this.#ignoreFull(error))
      .finally(() => {
        this.#hinting = null;
      });
    await this.#hinting;
  }

  async close(): Promise<void> {
    if (this.#saving !== null) await this.#saving;
    if (this.#failure === null) await this.saveCommit();
    if (this.#hinting !== null) await this.#hinting;
    await this.#file.close();
  }

  async #saveLatest(): Promise<void> {
    try {
      if (this.#hinting !== null) await this.#hinting;
      do await this.#write(this.#order, true);
      while (!this.#isCovered());
    } finally {
      this.#saving = null;
    }
  }

  /**
   * Makes both slots equal. If an overwrite needs space (copy on write) and there is none, the next
   * save does it: the newest slot is durable.
   */
  async #repair(): Promise<void> {
    await this.#write(this.#order, true).catch((error) => this.#ignoreFull(error));
  }

  #ignoreFull(error: unknown): void {
    if (!(error instanceof DiskFull) || this.#failure !== null) throw error;
  }

  #isCovered(): boolean {
    const { term, vote, commit } = this.#synced;
    const isSameVote = this.#state.term === term && this.#state.vote === vote;
    return isSameVote && commit >= this.#wantedCommit;
  }

  async #write(slots: readonly number[], sync: boolean): Promise<void> {
    if (this.#failure !== null) {
      throw new DiskFailure("the hard state is not used after an earlier failure", {
        cause: this.#failure,
      });
    }
    const state = this.#state;
    this.#sequence++;
    const bytes = encodeSlot(this.#sequence, state, this.#identity);
    for (const slot of slots) {
      await this.#writeSlot(slot, bytes);
      if (faultPoint("vote-slots-torn-together") && slot !== slots.at(-1)) continue;
      if (sync) await this.#file.sync().catch((failure) => this.#fail(failure));
    }
    this.#saved = state;
    if (sync) this.#synced = state;
  }

  /**
   * Lack of space is not final. The next write begins with the slot that may be partly written now.
   */
  async #writeSlot(slot: number, bytes: Uint8Array): Promise<void> {
    try {
      await this.#file.write(slot * SLOT_BYTES, bytes);
    } catch (failure) {
      if (!(failure instanceof DiskFull)) this.#fail(failure);
      this.#order = slot === 0 ? [0, 1] : [1, 0];
      throw failure;
    }
  }

  #fail(failure: unknown): never {
    this.#failure = failure;
    throw failure;
  }
}

/** Encodes one slot of 4096 bytes. */
export function encodeSlot(sequence: number, state: HardState, identity: number): Uint8Array {
  const body = new ByteWriter(64);
  body.u64(state.term);
  body.u64(state.commit);
  body.u8(state.vote === null ? 0 : 1);
  body.text(state.vote ?? "");
  assert(body.length <= SLOT_BYTES - HEADER_BYTES, "a node id is short");
  const slot = new ByteWriter(SLOT_BYTES);
  slot.u32(0);
  slot.u32(MAGIC);
  slot.u32(VERSION);
  slot.u32(body.length);
  slot.u64(sequence);
  slot.raw(body.view());
  slot.raw(new Uint8Array(SLOT_BYTES - slot.length));
  slot.setU32(0, crc32(slot.view().subarray(4), identity));
  return slot.take();
}

/** Decodes both slots of a file, null for an invalid one. @throws HardStateUnsupported */
export function decodeSlots(
  bytes: Uint8Array,
  identity: number,
  path: string,
): { readonly a: Slot | null; readonly b: Slot | null } {
  const [a = null, b = null] = SLOTS.map((slot) =>
    decodeSlot(bytes.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES), identity, path),
  );
  return { a, b };
}

/** @returns null if these bytes are not a valid slot. */
export function decodeSlot(bytes: Uint8Array, identity: number, path: string): Slot | null {
  if (bytes.length !== SLOT_BYTES) return null;
  const reader = new ByteReader(bytes);
  const checksum = reader.u32();
  if (crc32(bytes.subarray(4), identity) !== checksum || reader.u32() !== MAGIC) return null;
  const version = reader.u32();
  if (version !== VERSION) {
    throw new HardStateUnsupported(`${path} has format ${version}; this version reads ${VERSION}`);
  }
  try {
    const length = reader.u32();
    const sequence = reader.u64();
    const body = new ByteReader(reader.raw(length));
    const term = body.u64() as Term;
    const commit = body.u64() as LogIndex;
    const voted = body.u8() === 1;
    const name = body.text() as NodeId;
    return { sequence, state: { term, vote: voted ? name : null, commit } };
  } catch (cause) {
    if (cause instanceof DecodeError) return null;
    throw cause;
  }
}

/**
 * Returns the slot to overwrite first. A crash may tear it, so the other slot must be intact on
 * disk. A damaged slot comes first. If both are intact, it is the newer one, which may be in the
 * page cache only.
 */
const repairOrder = (a: Slot | null, b: Slot | null): readonly number[] =>
  a === null || (b !== null && a.sequence >= b.sequence) ? [0, 1] : [1, 0];

function describe(path: string, a: Slot | null, b: Slot | null): string {
  const say = (slot: Slot | null) => (slot === null ? "not valid" : `sequence ${slot.sequence}`);
  return `${path}: slot A ${say(a)}, slot B ${say(b)}`;
}
