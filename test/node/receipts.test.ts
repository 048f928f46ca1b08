/** Receipts name deliveries in one form, and nothing else is taken for one. */
import { expect, test } from "bun:test";
import { leaseOfReceipt, receiptOf } from "../../src/node/queues/receipts.ts";
import { Random } from "../tools/random.ts";

test("a receipt is read as it was written, for its queue only", () => {
  const random = new Random(7);
  for (let i = 0; i < 2_000; i++) {
    const queueId = 1 + random.below(10 ** random.below(9));
    const lease = {
      partition: random.below(1024),
      offset: random.below(10 ** random.below(9)) * random.below(1_000_000),
      attempt: 1 + random.below(10_000),
    };
    const receipt = receiptOf(queueId, lease);
    expect(leaseOfReceipt(queueId, receipt)).toEqual(lease);
    expect(leaseOfReceipt(queueId + 1, receipt)).toBeNull();
  }
});

test("other texts are not receipts", () => {
  for (const text of [
    ..."q,q1,q1-,q1-0,q1-0-,q1-0-5,q1-0-5-,q1-0-5-1-,q1-0-5-1-1,q1-0-5-0,q1--5-1,q1-0--1".split(
      ",",
    ),
    ..."Q1-0-5-1,1-0-5-1,q01-0-5-1,q1-00-5-1,q1-0-05-1,q1-0-5-01,q1-0-5-1 , q1-0-5-1".split(","),
    ..."q1-0-5-1\u0000,q1-0-5-x,q1-0-5.0-1,q1-0-+5-1,q1-0-1e3-1,q-1-0-5-1,qq1-0-5-1".split(","),
    `q1-0-${"9".repeat(16)}-1`,
    "q1-٠-5-1",
    "",
  ]) {
    expect(leaseOfReceipt(1, text)).toBeNull();
  }
});
