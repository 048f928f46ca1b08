import { feature as faultPoint } from "bun:bundle";
import type { PartitionState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import { renewMember } from "../../groups/commands/renew-member.ts";
import type { SlotRef } from "../../groups/commands/slot-refs.ts";
import { firstUnread } from "../../groups/standings.ts";
import { findMember, type GroupMember, type Slot } from "../../groups/state.ts";
import type { Machine } from "../../machine/machine.ts";
import { RecordCursor } from "../../record/batch-reader.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { PartitionRef, Rejected, Result } from "../api.ts";
import type {
  MemberPage,
  MemberReadReject,
  MemberReadRequest,
  MemberRecords,
  OwnedPartition,
} from "../groups-api.ts";
import { handleOf } from "../partition-handle.ts";
import type { Commander } from "../writes/commander.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Applied, OpenRead, Sessions } from "./sessions.ts";

/** Approximate size of a renewal in the queue. */
const RENEWAL_BYTES = 600;

export type MemberReadsOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  /** The cluster time, by which leases end. */
  readonly time: Pick<Clock, "now">;
  readonly replica: { readonly isLeader: boolean; readonly core: Applied };
  readonly deliveries: Deliveries;
  readonly sessions: Sessions;
};

type Outcome = Result<MemberPage, MemberReadReject>;
type Found = {
  readonly slot: Slot;
  readonly state: PartitionState;
  readonly records: MemberRecords;
};
type Collected = { readonly found: readonly Found[]; readonly isDamaged: boolean };

/**
 * Reads of members. A read in the first half of the lease writes nothing. Later it renews the lease,
 * and again while it waits. A read after an answer that told of revoked partitions gives up those
 * of them that have no records in work.
 */
export class MemberReads {
  readonly #options: MemberReadsOptions;

  constructor(options: MemberReadsOptions) {
    this.#options = options;
  }

  async read(request: MemberReadRequest): Promise<Outcome> {
    const { commander, clock, replica } = this.#options;
    const refusal = await commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const { appliedIndex = replica.core.appliedIndex } = request;
    const untilMs = clock.monotonic() / 1000 + request.waitMs;
    const wakes = new Wakes();
    const read: OpenRead = { wake: () => wakes.wake() };
    try {
      return await this.#answer({ ...request, appliedIndex }, read, untilMs, wakes);
    } finally {
      const member = this.#find(request);
      const session = member === null ? null : this.#options.sessions.of(member);
      if (session?.read === read) session.read = null;
    }
  }

  async #answer(
    request: MemberReadRequest & Applied,
    read: OpenRead,
    untilMs: number,
    wakes: Wakes,
  ): Promise<Outcome> {
    const { replica } = this.#options;
    for (let isFirst = true; ; isFirst = false) {
      if (!replica.isLeader) return { ok: false, code: "not_leader" };
      const member = this.#find(request);
      if (member === null) return { ok: false, code: "not_a_member" };
      const joinedIndex = this.#options.sessions.joinedIndex(member);
      if (request.appliedIndex < joinedIndex && !faultPoint("group-reads-outlive-a-join")) {
        return { ...this.#emptyPage(member), joinedIndex };
      }
      const isNewest = this.#isNewest(member, read, isFirst);
      if (!isNewest || request.signal.aborted) return this.#emptyPage(member);
      const page = await this.#step(member, request, read, untilMs);
      if (page === "wait") await this.#wait(member, untilMs, request.signal, wakes);
      else if (page !== "again") return page;
    }
  }

  /** Returns `again` if the member has to be looked up again, and `wait` if there is nothing to tell. */
  async #step(
    member: GroupMember,
    request: MemberReadRequest,
    read: OpenRead,
    untilMs: number,
  ): Promise<Outcome | "again" | "wait"> {
    const refusal = await this.#renew(member);
    if (refusal === "renewed") return "again";
    return refusal ?? (await this.#pageNow(member, request, read, untilMs));
  }

  /** A read that begins ends an older one of the member. */
  #isNewest(member: GroupMember, read: OpenRead, begins: boolean): boolean {
    const session = this.#options.sessions.of(member);
    if (begins) {
      session.read?.wake();
      session.read = read;
    }
    return session.read === read;
  }

  async #pageNow(
    member: GroupMember,
    request: MemberReadRequest,
    read: OpenRead,
    untilMs: number,
  ): Promise<Outcome | "again" | "wait"> {
    const { replica, clock, sessions } = this.#options;
    const session = sessions.of(member);
    const { found, isDamaged } = await this.#collect(member, session.first, request);
    const isSame = this.#find(request) === member && session.read === read;
    if (!isSame || request.signal.aborted || !replica.isLeader) return "again";
    if (found.length > 0) {
      session.first = (session.first + 1) % Math.max(1, member.owned.length);
      return this.#page(member, found);
    }
    if (isDamaged) return { ok: false, code: "data_damaged" };
    const isOver = clock.monotonic() / 1000 >= untilMs;
    return isOver || session.changes !== session.answered ? this.#page(member, []) : "wait";
  }

  #find({ group, member }: MemberReadRequest): GroupMember | null {
    return findMember(this.#options.machine.parts.groups, group, member) ?? null;
  }

  /** Returns null if there is nothing to renew or to give up. */
  async #renew(member: GroupMember): Promise<"renewed" | Rejected<MemberReadReject> | null> {
    const released = this.givenUp(member);
    if (released.length === 0 && this.#renewInMs(member) > 0) return null;
    if (faultPoint("group-reads-do-not-renew")) return null;
    return await this.#options.commander.run({
      kind: renewMember,
      fields: { group: member.group.name, member: member.name, released },
      bytes: RENEWAL_BYTES,
      done: () => "renewed" as const,
    });
  }

  /** Time until half of the lease is left. */
  #renewInMs(member: GroupMember): number {
    return member.dueAt - member.leaseMs / 2 - this.#options.time.now();
  }

  /** Revoked partitions that the member knows of and has no records of. */
  givenUp(member: GroupMember): SlotRef[] {
    const { deliveries } = this.#options;
    const refs: SlotRef[] = [];
    if (faultPoint("group-reads-give-nothing-up")) return refs;
    for (const slot of member.owned) {
      if (!slot.isRevoked || !deliveries.isTold(slot)) continue;
      const state = this.#stateOf(slot);
      const committed = state?.committed.get(member.group.name) ?? null;
      const isWorkedOff =
        state === null || deliveries.position(slot, state) <= firstUnread(state, committed);
      if (isWorkedOff) refs.push(refOf(slot));
    }
    return refs;
  }

  #stateOf({ topic, partition }: Slot): PartitionState | null {
    return (
      this.#options.machine.broker.topicsById.get(topic.topicId)?.partitions[partition] ?? null
    );
  }

  async #collect(
    member: GroupMember,
    first: number,
    { limit, maxBytes }: MemberReadRequest,
  ): Promise<Collected> {
    const { deliveries } = this.#options;
    const slots = member.owned;
    const found: Found[] = [];
    const left = { records: limit, bytes: maxBytes, isFirst: true };
    let isDamaged = false;
    for (let i = 0; i < slots.length && left.records > 0 && left.bytes > 0; i++) {
      const slot = slots[(first + i) % slots.length] as Slot;
      const state = this.#stateOf(slot);
      if (state === null || slot.isRevoked) continue;
      const start = deliveries.position(slot, state);
      if (start >= state.endOffset) continue;
      const records = await readRecords(slot, state, start, left);
      if (records === "damaged") isDamaged = true;
      else if (records !== null) found.push({ slot, state, records });
    }
    return { found, isDamaged };
  }

  /** The answer to a read that the client does not wait for any more. Nothing is told by it. */
  #emptyPage(member: GroupMember): Outcome & { readonly ok: true } {
    const assigned = this.#assigned(member);
    const leaseUntilMs = member.dueAt;
    return { ok: true, records: [], positions: [], assigned, revoked: [], leaseUntilMs };
  }

  #assigned(member: GroupMember): OwnedPartition[] {
    return member.owned.flatMap((slot) => {
      const state = this.#stateOf(slot);
      return state === null || slot.isRevoked ? [] : [this.#owned(slot, state)];
    });
  }

  /** Makes the answer, and notes what it gives and tells to the member. */
  #page(member: GroupMember, found: readonly Found[]): Outcome {
    const { deliveries, sessions } = this.#options;
    const records: MemberRecords[] = [];
    const positions: OwnedPartition[] = [];
    for (const { slot, state, records: given } of found) {
      // The partition may have gone to another member, or moved by a seek, while a file was read.
      if (slot.owner !== member || slot.isRevoked) continue;
      if (deliveries.position(slot, state) > given.startOffset) continue;
      if (state.lowWatermark > given.startOffset) continue;
      deliveries.advance(slot, given.nextOffset);
      records.push(given);
      positions.push(this.#owned(slot, state));
    }
    const assigned: OwnedPartition[] = [];
    const revoked: PartitionRef[] = [];
    for (const slot of member.owned) {
      const state = this.#stateOf(slot);
      if (state === null) continue;
      const owned = this.#owned(slot, state);
      if (!slot.isRevoked) {
        assigned.push(owned);
        continue;
      }
      deliveries.tell(slot, owned.nextOffset);
      positions.push(owned);
      revoked.push({ topic: slot.topic.name, partition: slot.partition });
    }
    const session = sessions.of(member);
    session.answered = session.changes;
    return { ok: true, records, positions, assigned, revoked, leaseUntilMs: member.dueAt };
  }

  #owned(slot: Slot, state: PartitionState): OwnedPartition {
    return {
      topic: slot.topic.name,
      partition: slot.partition,
      generation: slot.generation,
      nextOffset: this.#options.deliveries.position(slot, state),
    };
  }

  /**
   * The answer to a join. It tells all partitions of the member, but not those that are revoked
   * already, as when others join with the same entry. The next read tells them at once.
   */
  assigned(member: GroupMember): readonly OwnedPartition[] {
    const session = this.#options.sessions.of(member);
    const isWhole = !member.owned.some(({ isRevoked }) => isRevoked);
    session.answered = isWhole ? session.changes : session.changes - 1;
    session.read?.wake();
    session.read = null;
    return this.#assigned(member);
  }

  /** Waits for a record, a change of the member, the time to renew its lease, or the end of the wait. */
  async #wait(
    member: GroupMember,
    untilMs: number,
    signal: AbortSignal,
    wakes: Wakes,
  ): Promise<void> {
    const { clock, deliveries } = this.#options;
    const leftMs = untilMs - clock.monotonic() / 1000;
    const delayMs = Math.max(0, Math.ceil(Math.min(leftMs, this.#renewInMs(member))));
    const woken = wakes.next();
    const wake = () => wakes.wake();
    const cancels = [clock.after(delayMs, wake)];
    signal.addEventListener("abort", wake, { once: true });
    for (const slot of member.owned) {
      const state = this.#stateOf(slot);
      if (state === null || slot.isRevoked) continue;
      cancels.push(handleOf(state).waits.watch(wake));
      if (state.endOffset > deliveries.position(slot, state)) wake();
    }
    if (signal.aborted) wake();
    await woken;
    signal.removeEventListener("abort", wake);
    for (const cancel of cancels) cancel();
  }
}

/** Remembers a wake-up that comes before the wait for it. */
class Wakes {
  #isWoken = false;
  #resolve: (() => void) | null = null;

  wake(): void {
    this.#isWoken = true;
    this.#resolve?.();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        this.#isWoken = false;
        this.#resolve = null;
        resolve();
      };
      if (this.#isWoken) end();
      else this.#resolve = end;
    });
  }
}

export const refOf = ({ topic, partition, generation }: Slot): SlotRef => ({
  topicId: topic.topicId,
  partition,
  generation,
});

/** The room that is left on a page. */
type Left = { records: number; bytes: number; isFirst: boolean };

/** Returns null if the records were trimmed meanwhile. */
async function readRecords(
  { topic, partition }: Slot,
  state: PartitionState,
  start: number,
  left: Left,
): Promise<MemberRecords | "damaged" | null> {
  const { endOffset } = state;
  let slices: readonly Uint8Array[];
  try {
    const read = handleOf(state).log.read(start, left.records, left.bytes);
    // The bytes are valid in this event-loop iteration only.
    slices = (read instanceof Promise ? await read : read).map((slice) => slice.slice());
  } catch (error) {
    if (error instanceof PartitionDamaged) return "damaged";
    throw error;
  }
  const nextOffset = endOfPage(slices, start, endOffset, left);
  if (nextOffset === start) return null;
  const { topicId } = state;
  return { topic: topic.name, topicId, partition, startOffset: start, nextOffset, slices };
}

/** Returns the offset behind the records that fit, and takes their room. */
function endOfPage(
  slices: readonly Uint8Array[],
  start: number,
  endOffset: number,
  left: Left,
): number {
  let next = start;
  for (const slice of slices) {
    const cursor = new RecordCursor(slice);
    for (let more = cursor.seek(next); more; more = cursor.next()) {
      if (cursor.offset >= endOffset || left.records === 0) return next;
      const bytes = cursor.logicalBytes;
      if (bytes > left.bytes && !left.isFirst) return next;
      left.records--;
      left.bytes = Math.max(0, left.bytes - bytes);
      left.isFirst = false;
      next = cursor.offset + 1;
    }
  }
  return next;
}
