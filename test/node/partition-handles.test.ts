import { expect, test } from "bun:test";
import { PartitionState } from "../../src/broker/state.ts";
import {
  handleIfAny,
  handleOf,
  PartitionHandles,
  setHandle,
} from "../../src/node/partition-handle.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";
import { PartitionDisk } from "../tools/storage/partition-disk.ts";
import { openStore } from "../tools/storage/partition-support.ts";

function partitions(count: number, handlesMax: number): PartitionState[] {
  const store = openStore(new PartitionDisk());
  const handles = new PartitionHandles(store, new SimClock(), handlesMax);
  return Array.from({ length: count }, (_, topicId) => {
    store.create(topicId, 0);
    const state = new PartitionState(topicId, 0);
    setHandle(state, handles);
    return state;
  });
}

test("a handle is made when it is used, and is one object as long as somebody has it", () => {
  const states = partitions(10, 2);
  expect(states.map(handleIfAny)).toEqual(Array(10).fill(null));
  const made = states.map(handleOf);
  for (const [i, state] of states.entries()) {
    expect(handleOf(state)).toBe(made[i] as never);
    expect(handleOf(state).log.topicId).toBe(i);
  }
});

test("a handle with writes in flight or with readers that wait is not dropped", async () => {
  const states = partitions(10, 2);
  const [first, second] = states as [PartitionState, PartitionState];
  handleOf(first).pendingRecords = 3;
  const waiting = handleOf(second).waits.wait(5, 1000, new AbortController().signal);
  for (const state of states) handleOf(state);
  Bun.gc(true);
  expect(handleOf(first).pendingRecords).toBe(3);
  expect(handleIfAny(second)?.waits.size).toBe(1);
  handleIfAny(second)?.waits.wakeAll();
  await waiting;
});
