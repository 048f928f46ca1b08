import { type BrokerState, findPartition, type PartitionState } from "../../broker/state.ts";
import type { ByteReader, ByteWriter } from "../../lib/bytes.ts";
import type { Group, Slot } from "../state.ts";

/** A partition as a member owns it. */
export type SlotRef = {
  readonly topicId: number;
  readonly partition: number;
  readonly generation: number;
};

export function encodeSlotRef(body: ByteWriter, ref: SlotRef): void {
  body.varint(ref.topicId);
  body.varint(ref.partition);
  body.varint(ref.generation);
}

export const decodeSlotRef = (body: ByteReader): SlotRef => ({
  topicId: body.varint(),
  partition: body.varint(),
  generation: body.varint(),
});

export function encodeList<T>(
  body: ByteWriter,
  items: readonly T[],
  encode: (body: ByteWriter, item: T) => void,
): void {
  body.varint(items.length);
  for (const item of items) encode(body, item);
}

export function decodeList<T>(body: ByteReader, decode: (body: ByteReader) => T): T[] {
  const items: T[] = [];
  for (let left = body.varint(); left > 0; left--) items.push(decode(body));
  return items;
}

/** Returns the partition and its slot in the group; each is undefined if it does not exist. */
export function resolve(
  broker: BrokerState,
  group: Group,
  { topicId, partition }: Pick<SlotRef, "topicId" | "partition">,
): { readonly state: PartitionState | undefined; readonly slot: Slot | undefined } {
  const state = findPartition(broker, topicId, partition);
  const name = broker.topicsById.get(topicId)?.name;
  const slot = name === undefined ? undefined : group.topics.get(name)?.slots[partition];
  return { state, slot };
}
