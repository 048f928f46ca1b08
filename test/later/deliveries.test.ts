/** Records that are due: what the leader proposes when others change the partition that it reads. */
import { expect, test } from "bun:test";
import { PENDING_TOPIC } from "../../src/later/state.ts";
import { utf8 } from "../../src/lib/bytes.ts";
import { Later } from "../../src/node/later/later.ts";
import { PartitionHandle } from "../../src/node/partition-handle.ts";
import type { RecordWaits } from "../../src/node/reads/record-waits.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { stampBatch } from "../../src/record/batch-header.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import { Bench } from "../tools/machine/support.ts";
import { RecordedCommander } from "../tools/node/recorded-commander.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

const DAY_MS = 86_400_000;

type Question<T> = { readonly offset: number; readonly answer: (found: T) => void };

/** Leads with records that are due at once or in an hour. The log answers when a test says so. */
function leading(...waitsMs: readonly number[]) {
  const clock = new SimClock();
  const bench = new Bench(undefined, clock.now());
  bench.createTopic("jobs", 1);
  const { bytes: batches, logicalBytes } = encodeRecord(null, utf8("later"));
  for (const waitMs of waitsMs) {
    bench.do({
      ...{ type: "schedule_records", topicId: 1, partition: 0, deliverAt: bench.at + waitMs },
      ...{ idempotency: null, count: 1, logicalBytes, batches },
    });
  }
  const { machine } = bench;
  const reads: Question<Uint8Array[]>[] = [];
  const lookups: Question<number>[] = [];
  const asked =
    <T>(questions: Question<T>[]) =>
    (offset: number) =>
      new Promise<T>((answer) => {
        questions.push({ offset, answer });
      });
  const log = { read: asked(reads), bytesBefore: asked(lookups) } as unknown as PartitionLog;
  for (const store of machine.broker.topicsByName.get(PENDING_TOPIC)?.partitions ?? []) {
    store.node = new PartitionHandle(store, log, {} as RecordWaits);
  }
  const commander = new RecordedCommander();
  const failures: unknown[] = [];
  const replica = { isLeader: true };
  const later = new Later({
    ...{ machine, clock, replica, commander: commander.asCommander },
    producer: { topicFor: () => Promise.reject(), choosePartition: () => 0 },
    emit: (event) => failures.push(event),
  });
  const stored = (at: number): Uint8Array => {
    const batch = Uint8Array.from(batches);
    stampBatch(batch, 0, at, 1_000, 0);
    return batch;
  };
  later.roleChanged();
  return { bench, clock, commander, failures, later, lookups, reads, replica, stored };
}

const delivered = (commander: RecordedCommander) =>
  commander
    .take()
    .filter(({ type }) => type === "deliver_scheduled")
    .map(({ fields }) => fields["scheduleId"]);

test("a read that ends after a change of leaders delivers nothing, whatever it found", async () => {
  const { clock, commander, failures, later, reads, replica, stored } = leading(0, 0);
  await clock.advance(10);
  expect(reads.map(({ offset }) => offset)).toEqual([0]);
  replica.isLeader = false;
  later.roleChanged();
  // The other leader has delivered them and released their space: the log begins later.
  reads[0]?.answer([]);
  await clock.advance(5_000);
  expect(delivered(commander)).toEqual([]);
  expect(failures).toEqual([]);
  // It leads again before it knows what the other one has delivered, and reads anew.
  replica.isLeader = true;
  later.roleChanged();
  await clock.advance(10);
  expect(reads.map(({ offset }) => offset)).toEqual([0, 0]);
  reads[1]?.answer([stored(0)]);
  await clock.advance(10);
  reads[2]?.answer([stored(1)]);
  await clock.advance(10);
  expect(delivered(commander)).toEqual([8, 16]);
  later.stop();
});

test("a node that ceases to lead does not go on releasing space", async () => {
  const { bench, clock, commander, failures, later, lookups, replica } = leading(
    ...[DAY_MS / 2, 2 * DAY_MS, 40 * DAY_MS],
  );
  for (const { id } of [...bench.machine.parts.later.pending.values()].slice(0, 2)) {
    bench.do({ type: "delete_scheduled", scheduleId: id });
  }
  await clock.advance(10);
  expect(lookups.map(({ offset }) => offset)).toEqual([1]);
  replica.isLeader = false;
  later.roleChanged();
  lookups[0]?.answer(5);
  await clock.advance(20_000);
  expect(lookups).toHaveLength(1);
  expect(commander.take()).toEqual([]);
  replica.isLeader = true;
  later.roleChanged();
  for (let at = 1; at < 3; at++) {
    await clock.advance(10);
    lookups[at]?.answer(5);
  }
  await clock.advance(10);
  expect(commander.take().map(({ type, fields }) => [type, fields["partition"]])).toEqual([
    ["delete_before", 2],
    ["delete_before", 3],
  ]);
  expect(failures).toEqual([]);
  later.stop();
});

test("records that wait and are not there stop the leader", async () => {
  const { clock, failures, later, reads } = leading(0);
  await clock.advance(10);
  reads[0]?.answer([]);
  await clock.advance(10);
  expect(failures).toMatchObject([{ type: "failed" }]);
  later.stop();
});
