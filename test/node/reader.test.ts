/** Goal: a read begins where it was asked to begin, at every combination of bounds. */
import { expect, test } from "bun:test";
import type { Machine } from "../../src/machine/machine.ts";
import type { Node } from "../../src/node/node.ts";
import { PartitionHandle, setHandle } from "../../src/node/partition-handle.ts";
import type { Linearizer } from "../../src/node/reads/linearizer.ts";
import { Reader } from "../../src/node/reads/reader.ts";
import type { RecordWaits } from "../../src/node/reads/record-waits.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import { produced } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const PLACE = { topic: "t", partition: 0 };

/** Ten records, of which the first three are deleted, and a group that committed 5. */
async function opened() {
  const single = new SingleNode(new Random(1));
  const node = await single.open();
  await single.settled(node.createTopic("t", 1));
  for (let i = 0; i < 10; i++) await append(single, node);
  expect((await single.settled(node.deleteBefore({ ...PLACE, beforeOffset: 3 }))).ok).toBe(true);
  const commit = { ...PLACE, group: "g", offset: 5 };
  expect((await single.settled(node.commitOffset(commit))).ok).toBe(true);
  return { single, node };
}

async function append(single: SingleNode, node: Node): Promise<void> {
  const records = encodeRecord(null, Uint8Array.of(1));
  const rest = { key: null, idempotencyKey: null, timeoutMs: null, rocket: false };
  expect((await single.settled(produced(node, { ...PLACE, ...rest, records }))).ok).toBe(true);
}

test.each([
  { group: "g", offset: null, begins: 5 },
  { group: "g", offset: 0, begins: 3 },
  { group: "g", offset: 3, begins: 3 },
  { group: "g", offset: 4, begins: 4 },
  { group: "g", offset: 7, begins: 7 },
  { group: "g", offset: 9, begins: 9 },
  { group: "g", offset: 10, begins: 10 },
  { group: "g", offset: 11, begins: "offset_out_of_range" },
  { group: "new", offset: null, begins: 3 },
  { group: "new", offset: 0, begins: 3 },
  { group: "new", offset: 2, begins: 3 },
  { group: "new", offset: 10, begins: 10 },
  { group: "new", offset: 11, begins: "offset_out_of_range" },
] as const)("group $group with offset $offset begins at $begins", async (row) => {
  const { single, node } = await opened();
  const { group, offset, begins } = row;
  const request = { ...PLACE, group, offset, limit: 100, maxBytes: 1e6, linearizable: false };
  const page = await single.settled(node.consume(request));
  if (page.ok) {
    const committedOffset = group === "g" ? 5 : null;
    const { startOffset, lowWatermark, endOffset, slices } = page;
    expect({ startOffset, lowWatermark, endOffset }).toEqual({
      startOffset: begins as number,
      lowWatermark: 3,
      endOffset: 10,
    });
    expect(page.committedOffset).toBe(committedOffset);
    expect(slices.length > 0).toBe(startOffset < 10);
  } else expect(page.code as string).toBe(begins as string);
  await single.settled(node.stop());
});

test("a wait at the end lasts until a record comes, and one below it does not", async () => {
  const { single, node } = await opened();
  const request = { ...PLACE, group: "g", offset: null, limit: 1, maxBytes: 1e6 };
  const page = await node.consume({ ...request, linearizable: false });
  if (!page.ok) throw new Error(page.code);
  const { topicId } = page;
  const signal = new AbortController().signal;
  const wait = (offset: number) =>
    node.waitForRecords({ ...PLACE, topicId, offset, timeoutMs: 60_000, signal });
  let ended = false;
  const waiting = wait(10).then(() => {
    ended = true;
  });
  await single.settled(wait(9));
  for (let i = 0; i < 20; i++) await single.clock.advance(1);
  expect(ended).toBe(false);
  await append(single, node);
  await single.settled(waiting);
  expect(ended).toBe(true);
  await single.settled(node.stop());
});

/** A partition whose page is read from a file, meanwhile `during` happens. */
function partitionOf(
  slice: Uint8Array,
  endOffset: number,
  during: (log: { deleted: boolean }) => void,
) {
  const log = {
    deleted: false,
    page: async () => {
      await Promise.resolve();
      during(log);
      return { slices: log.deleted ? [] : [slice], first: null };
    },
  };
  const partition = {
    topicId: 1,
    partition: 0,
    lowWatermark: 0,
    endOffset,
    committed: new Map(),
  };
  setHandle(
    partition as never,
    new PartitionHandle(partition as never, log as unknown as PartitionLog, {} as RecordWaits),
  );
  return partition;
}

test("a page of a partition that a snapshot replaces is read again from the new one", async () => {
  const topic = { topicId: 1, name: "t", partitions: [] as unknown[] };
  const machine = {
    broker: { topicsByName: new Map([["t", topic]]) },
  } as unknown as Machine;
  const after = partitionOf(Uint8Array.of(2), 20, () => {});
  topic.partitions = [
    partitionOf(Uint8Array.of(1), 10, (log) => {
      log.deleted = true;
      topic.partitions = [after];
    }),
  ];
  const reader = new Reader(machine, {} as Linearizer);
  const request = { ...PLACE, group: "g", offset: 0, limit: 1, maxBytes: 1 };
  const page = await reader.consume({ ...request, linearizable: false });
  expect(page).toMatchObject({ ok: true, slices: [Uint8Array.of(2)], endOffset: 20 });
});
