import { feature as faultPoint } from "bun:bundle";
import type { PartitionState } from "../../broker/state.ts";
import { firstUnread } from "../../groups/standings.ts";
import type { GroupMember, Slot } from "../../groups/state.ts";

type Delivery = {
  readonly owner: GroupMember;
  readonly joins: number;
  readonly generation: number;
  offset: number;
  /** The owner was told that the partition is revoked. */
  isTold: boolean;
};

/**
 * How far the records of each partition were given to its owner. Only the leader knows it, and only
 * in memory: a new leader, a new owner and a member that joins again begin at the committed offset.
 */
export class Deliveries {
  #bySlot = new WeakMap<Slot, Delivery>();

  /** Called when this node becomes leader: another leader may have given out records since. */
  reset(): void {
    this.#bySlot = new WeakMap();
  }

  /** The offset of the next record for the owner. */
  position(slot: Slot, partition: PartitionState): number {
    const committed = partition.committed.get(slot.owner?.group.name ?? "") ?? null;
    return Math.max(this.#of(slot)?.offset ?? 0, firstUnread(partition, committed));
  }

  advance(slot: Slot, offset: number): void {
    const delivery = this.#begin(slot);
    if (delivery !== null) delivery.offset = offset;
  }

  /** Called when an answer tells the owner that the partition is revoked. */
  tell(slot: Slot, position: number): void {
    const delivery = this.#begin(slot);
    if (delivery === null) return;
    delivery.isTold = true;
    delivery.offset = position;
  }

  isTold(slot: Slot): boolean {
    return this.#of(slot)?.isTold ?? false;
  }

  #begin(slot: Slot): Delivery | null {
    const { owner, generation } = slot;
    if (owner === null) return null;
    const present = this.#of(slot);
    if (present !== null) return present;
    const delivery = { owner, joins: owner.joins, generation, offset: 0, isTold: false };
    this.#bySlot.set(slot, delivery);
    return delivery;
  }

  /** Null if the owner begins at the committed offset. */
  #of(slot: Slot): Delivery | null {
    const delivery = this.#bySlot.get(slot);
    if (delivery === undefined) return null;
    const { owner, joins, generation, isTold } = delivery;
    const isJoin = faultPoint("group-join-goes-on-behind-lost-answers")
      ? true
      : joins === owner.joins;
    const isSame = owner === slot.owner && generation === slot.generation && isJoin;
    if (isSame && !(isTold && !slot.isRevoked)) return delivery;
    // A member that was told may have dropped records, so a partition that it keeps is read again.
    // If it has to give the partition up later, it is told anew.
    this.#bySlot.delete(slot);
    return null;
  }
}
