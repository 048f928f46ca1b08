/** A page that followers ask for together crosses the port once; every other read is its own. */
import { expect, test } from "bun:test";
import type { ConsumeRequest } from "../../src/node/api.ts";
import type { PageOutcome } from "../../src/node/port/outcomes.ts";
import { SharedReads } from "../../src/node/port/shared-reads.ts";

const REQUEST: ConsumeRequest = {
  topic: "orders",
  partition: 0,
  group: "",
  offset: 5,
  topicId: 1,
  limit: 10,
  maxBytes: 1000,
  linearizable: false,
  follows: true,
};

function start() {
  const reads = new SharedReads();
  const crossed: PromiseWithResolvers<PageOutcome>[] = [];
  const page = (changed: Partial<ConsumeRequest> = {}) =>
    reads.page({ ...REQUEST, ...changed }, () => {
      const pending = Promise.withResolvers<PageOutcome>();
      crossed.push(pending);
      return pending.promise;
    });
  return { crossed, page };
}
const DAMAGED: PageOutcome = { ok: false, code: "data_damaged" };

test("readers of one page share it until it is back", async () => {
  const { crossed, page } = start();
  const three = [page(), page(), page()];
  expect(crossed.length).toBe(1);
  crossed[0]?.resolve(DAMAGED);
  expect(await Promise.all(three)).toEqual([DAMAGED, DAMAGED, DAMAGED]);
  void page();
  expect(crossed.length).toBe(2);
});

test("a read that asks for anything else crosses by itself", () => {
  const { crossed, page } = start();
  const others: Partial<ConsumeRequest>[] = [
    {},
    { topic: "orders2" },
    { partition: 1 },
    { group: "g" },
    { offset: 6 },
    { topicId: 2 },
    { limit: 11 },
    { maxBytes: 1001 },
  ];
  for (const other of others) void page(other);
  expect(crossed.length).toBe(others.length);
});

test("linearizable reads, and those from the position of a group, are never shared", () => {
  const { crossed, page } = start();
  for (const own of [{ linearizable: true }, { offset: null }]) {
    void page(own);
    void page(own);
  }
  expect(crossed.length).toBe(4);
});

test("a failure is told to all that share the read, and the next one crosses", async () => {
  const { crossed, page } = start();
  const two = Promise.allSettled([page(), page()]);
  crossed[0]?.reject(new Error("broken"));
  expect((await two).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  void page();
  expect(crossed.length).toBe(2);
});
