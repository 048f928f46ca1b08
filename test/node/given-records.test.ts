/**
 * Goal: a follower adds the records that the leader has given out, waits for those that it has not
 * applied, and never answers a page that skips some. Method: a partition of three records in memory, a
 * leader that is a function of the test, simulated time.
 */
import { expect, test } from "bun:test";
import type { Machine } from "../../src/machine/machine.ts";
import type { Leased, MemberPlaces, PlacesRequest } from "../../src/node/forward/calls.ts";
import { GivenRecords } from "../../src/node/groups/given-records.ts";
import { PartitionHandle, setHandle } from "../../src/node/partition-handle.ts";
import { LeasedRecords } from "../../src/node/queues/leased-records.ts";
import { AppliedWaits } from "../../src/node/reads/applied-waits.ts";
import type { RecordWaits } from "../../src/node/reads/record-waits.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { stampBatch } from "../../src/record/batch-header.ts";
import { PartitionDamaged } from "../../src/storage/partitions/damaged.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import { SimClock, settle } from "../tools/sim/sim-clock.ts";

const TIMEOUT_MS = 5_000;
const NEVER = new AbortController().signal;
const LEASED: Leased = {
  topic: "t",
  topicId: 1,
  messages: [0, 1, 3].map((offset) => {
    return { partition: 0, offset, attempt: 1, receipt: `q1-0-${offset}-1` };
  }),
  visibleAtMs: 5,
  blocked: null,
};
const PLACES: MemberPlaces = {
  records: [{ topic: "t", topicId: 1, partition: 0, startOffset: 1, nextOffset: 3 }],
  positions: [],
  assigned: [],
  revoked: [],
  leaseUntilMs: 5,
};

/** A follower that has the records a, b, c and d, of which those from `endOffset` on come later. */
function follower(endOffset: number, joins = false) {
  const builder = new BatchBuilder();
  for (const value of ["a", "b", "c", "d"]) builder.add(null, new TextEncoder().encode(value));
  const { bytes } = builder.finish();
  stampBatch(bytes, 0, 0, 1_000, 0);
  const log = {
    deleted: false,
    read: (): readonly Uint8Array[] | Promise<readonly Uint8Array[]> => [bytes],
    page: () => {
      const read = log.read();
      const pageOf = (slices: readonly Uint8Array[]) => ({ slices, first: null });
      return read instanceof Promise ? read.then(pageOf) : pageOf(read);
    },
  };
  const partition = { topicId: 1, partition: 0, endOffset };
  const handle = new PartitionHandle(
    partition as never,
    log as unknown as PartitionLog,
    {} as RecordWaits,
  );
  setHandle(partition as never, handle);
  const topicsById = new Map([[1, { partitions: [partition] }]]);
  const clock = new SimClock();
  const waits = new AppliedWaits(clock);
  const core = { appliedIndex: 7 };
  const asked: (number | undefined)[] = [];
  const options = {
    core,
    machine: { broker: { topicsById } } as unknown as Machine,
    waits,
    timeoutMs: TIMEOUT_MS,
    calls: {
      receive: async () => ({ ok: true as const, ...LEASED }),
      // The member has joined at index 9, as the leader knows.
      readMember: async ({ appliedIndex }: PlacesRequest) => {
        asked.push(appliedIndex);
        if (!joins || (appliedIndex ?? 0) >= 9) return { ok: true as const, ...PLACES };
        return { ok: true as const, ...PLACES, records: [], joinedIndex: 9 };
      },
    },
  };
  const leased = new LeasedRecords(options);
  const given = new GivenRecords(options);
  const lease = { queue: "q", max: 9, waitMs: 0, visibilityMs: null };
  const read = { group: "g", member: "m", limit: 9, maxBytes: 9, waitMs: 0 };
  return {
    ...{ log, partition, topicsById, clock, waits, core, asked },
    receive: () => leased.receive(lease, NEVER),
    read: (signal = NEVER) => given.readMember(read, signal),
  };
}

test("the records of a lease are read from the log of the follower, in the order of the leases", async () => {
  const { receive } = follower(4);
  const received = await receive();
  if (!received.ok) throw new Error(received.code);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  expect(
    received.messages.map(({ offset, value, receipt }) => `${offset} ${text(value)} ${receipt}`),
  ).toEqual(["0 a q1-0-0-1", "1 b q1-0-1-1", "3 d q1-0-3-1"]);
  expect([received.topic, received.visibleAtMs, received.blocked]).toEqual(["t", 5, null]);
});

test("the page of a member has the slices of the follower", async () => {
  const page = await follower(4).read();
  expect(page).toMatchObject({ ok: true, leaseUntilMs: 5 });
  if (page.ok) expect(page.records[0]?.slices).toHaveLength(1);
});

test("records that are not applied yet are waited for", async () => {
  for (const kind of ["receive", "read"] as const) {
    const at = follower(2);
    let outcome: { ok: boolean } | null = null;
    void at[kind]().then((each) => {
      outcome = each;
    });
    await settle();
    at.waits.applied();
    await settle();
    expect(outcome).toBeNull();
    at.partition.endOffset = 4;
    at.waits.applied();
    await settle();
    expect<unknown>(outcome).toMatchObject({ ok: true });
  }
});

test("records that do not come in time: the outcome is unknown", async () => {
  for (const kind of ["receive", "read"] as const) {
    const at = follower(2);
    let code = "";
    void at[kind]().then((each) => {
      code = each.ok ? "ok" : each.code;
    });
    await at.clock.advance(TIMEOUT_MS - 1);
    await settle();
    expect(code).toBe("");
    await at.clock.advance(1);
    await settle();
    expect(code).toBe("commit_timeout");
  }
});

test("a stop ends the waits", async () => {
  const at = follower(0);
  const [received, page] = [at.receive(), at.read()];
  await settle();
  at.waits.stop();
  expect([await received, await page]).toMatchObject([
    { ok: false, code: "commit_timeout" },
    { ok: false, code: "commit_timeout" },
  ]);
});

test("damage here: a receive says so, and a member gets no page without its records", async () => {
  const at = follower(4);
  at.log.read = () => Promise.reject(new PartitionDamaged("1-0/0.seg", 0, "checksum"));
  expect(await at.receive()).toEqual({ ok: false, code: "data_damaged" });
  expect(await at.read()).toMatchObject({ ok: false, code: "commit_timeout" });
});

test("records that retention deleted here meanwhile are left out of a receive", async () => {
  const at = follower(4);
  at.log.read = () => [];
  expect(await at.receive()).toMatchObject({ ok: true, messages: [] });
  expect(await at.read()).toMatchObject({ ok: false, code: "commit_timeout" });
});

test("a snapshot that replaces the files during the read leaves no gap in a page", async () => {
  const at = follower(4);
  const read = at.log.read;
  at.log.read = async () => {
    at.log.deleted = true;
    return await read();
  };
  expect(await at.read()).toMatchObject({ ok: false, code: "commit_timeout" });
});

test("a read that may be older than the member's join is asked again when the join is applied here", async () => {
  const at = follower(4, true);
  const page = at.read();
  await settle();
  at.core.appliedIndex = 8;
  at.waits.applied();
  await settle();
  expect(at.asked).toEqual([7]);
  at.core.appliedIndex = 9;
  at.waits.applied();
  expect(await page).toMatchObject({ ok: true, records: [{ startOffset: 1, nextOffset: 3 }] });
  expect(at.asked).toEqual([7, 9]);
});

test("a read that its client gave up before the join is not asked again, nor one without the join in time", async () => {
  const gone = new AbortController();
  const at = follower(4, true);
  const given = at.read(gone.signal);
  gone.abort();
  expect(await given).toMatchObject({ ok: true, records: [] });
  const late = at.read();
  await at.clock.advance(TIMEOUT_MS);
  expect(await late).toMatchObject({ ok: true, records: [] });
  expect(at.asked).toEqual([7, 7]);
});
