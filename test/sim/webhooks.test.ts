/**
 * Goal: webhooks deliver each record at least once or put it aside with exactly its attempts, in their
 * order, with one id and a valid signature, and nothing while they are paused, under faults of
 * processes, disks, network and clocks.
 * Method: seeds with a receiver that fails, hangs, answers too late and asks for pauses. A ledger of
 * its requests judges.
 */
import { expect, test } from "bun:test";
import { allMustHold, mustHold } from "../tools/sim/must-hold.ts";
import { VERSION_3_SEED } from "../tools/sim/plan.ts";
import { type Order, type Sent, WebhookLedger } from "../tools/webhook/webhook-ledger.ts";

const SEEDS = Number(process.env["SEEDS"] ?? "3");
const CHANGES = { webhooks: true, durationMs: 2500, clients: 1 } as const;

test("seeds with webhooks hold, and records were delivered, repeated, dead and left out", async () => {
  const totals = await allMustHold(VERSION_3_SEED + 1, VERSION_3_SEED + SEEDS, CHANGES);
  const many = (what: string): number => totals.effects.get(what) ?? 0;
  expect(many("webhooks judged")).toBeGreaterThanOrEqual(SEEDS);
  expect(many("webhook deliveries")).toBeGreaterThan(20 * SEEDS);
  expect(many("webhook records repeated")).toBeGreaterThan(SEEDS);
  for (const what of ["webhook records left out", "webhook paused", "webhook secret rotated"]) {
    expect([what, many(what)]).not.toEqual([what, 0]);
  }
}, 600_000);

test("a command that is refused for overload is proposed again, though nothing else happens", async () => {
  const seed = 4_323_723_387;
  const changes = { ...CHANGES, durationMs: 2_000 };
  const { plan } = await mustHold(seed, changes);
  expect(plan.queueRequestsMax).toBe(4);
}, 600_000);

const sent = (place: string, attempt: number, at: number, more: Partial<Sent> = {}): Sent => ({
  ...{ place, key: "k", attempt, id: `id ${place}`, term: 1, at },
  ...more,
});
const ledger = (order: Order = "none") => new WebhookLedger("w", 3, order);
const row = (place: string, passes = true, key = "k") => ({ place, key, passes });

test("the ledger refuses what no webhook may send", () => {
  const cases: readonly (readonly [string, (its: WebhookLedger) => void])[] = [
    ["is not an attempt", (its) => its.sent(sent("0/1", 4, 1))],
    ["was sent after attempt 1", (its) => [1, 2].map((at) => its.sent(sent("0/1", 1, at)))],
    ["was sent after attempt 2", (its) => [2, 1].map((each) => its.sent(sent("0/1", each, 1)))],
    [
      "attempt 2 of term 1 was sent after attempt 2 of 2",
      (its) => [2, 1].map((term) => its.sent(sent("0/1", 2, 1, { term }))),
    ],
    [
      "and had id 0/1",
      (its) => [1, 2].map((n) => its.sent(sent("0/1", n, n, n < 2 ? {} : { id: "x" }))),
    ],
    [
      "has the id of 0/1",
      (its) => ["0/1", "0/2"].map((place) => its.sent(sent(place, 1, 1, { id: "x" }))),
    ],
    [
      "while paused",
      (its) => {
        its.paused(1, 1);
        its.sent(sent("0/1", 1, 2));
      },
    ],
    [
      "has no signature",
      (its) => {
        its.rotating();
        its.rotated("whsec_AAAA");
        const body = new Uint8Array(0);
        its.verify({ id: "x", timestamp: "1", signature: "v1,AAAA", body }, true);
      },
    ],
    ["never answered with 2xx", (its) => its.finish([row("0/1")], [], counts(1, 0, 0))],
    ["1 delivered and 0 dead of 0", (its) => its.finish([], [], counts(1, 0, 0))],
    ["1 were left out, 0 do not pass", (its) => its.finish([], [], counts(0, 0, 1))],
    [
      "must not be sent",
      (its) => {
        its.sent(sent("0/1", 1, 1));
        its.finish([row("0/1", false)], [], counts(0, 0, 1));
      },
    ],
    ["1 are dead, 0 dead letters", (its) => its.finish([row("0/1")], [], counts(0, 1, 0))],
    ["after 2 attempts", (its) => its.finish([row("0/1")], [dead("0/1", 2)], counts(0, 1, 0))],
    [
      "dead letter twice",
      (its) => its.finish([row("0/1")], [dead("0/1", 3), dead("0/1", 3)], counts(0, 2, 0)),
    ],
  ];
  for (const [message, act] of cases) expect(() => act(ledger())).toThrow(message);
});

test("a secret may be one of a rotation that is not answered, and of two with a former secret", () => {
  const verify = (
    answers: readonly (string | null)[],
    unanswered: number,
    keepsFormer: boolean,
  ) => {
    const its = ledger();
    for (const answer of answers) {
      its.rotating();
      its.rotated(answer);
    }
    for (let i = 0; i < unanswered; i++) its.rotating();
    const body = new Uint8Array(0);
    return () => its.verify({ id: "x", timestamp: "1", signature: "v1,AAAA", body }, keepsFormer);
  };
  const unknown = "has no signature";
  expect(verify(["whsec_AAAA", null], 0, false)).toThrow(unknown);
  expect(verify(["whsec_AAAA", "whsec_AAAB"], 1, true)).toThrow(unknown);
  for (const [unanswered, keepsFormer] of [
    [1, false],
    [2, true],
  ] as const) {
    expect(verify(["whsec_AAAA"], unanswered, keepsFormer)).not.toThrow();
  }
});

test("the ledger finds records out of order, and only these", () => {
  const history = (order: Order, first: string, second: string, key: string, at: number) => {
    const its = ledger(order);
    its.sent(sent(first, 1, 1));
    its.sent(sent(second, 1, at, { key }));
    its.answered(first, 10);
    its.answered(second, 20);
    its.finish([row(first), row(second, true, key)], [], counts(2, 0, 0));
  };
  const early = "was sent before 0/1 was finished";
  expect(() => history("key", "0/1", "0/2", "k", 5)).toThrow(early);
  expect(() => history("partition", "0/1", "0/2", "other", 5)).toThrow(early);
  history("none", "0/1", "0/2", "k", 5);
  history("key", "0/1", "0/2", "other", 5);
  history("partition", "0/1", "1/2", "k", 5);
  history("key", "0/1", "0/2", "k", 12);
});

test("an old leader may send late what it had leased before a pause", () => {
  const its = ledger();
  its.sent(sent("0/1", 2, 1, { term: 2 }));
  its.paused(2, 2);
  its.sent(sent("0/1", 1, 3));
  its.resuming();
  its.sent(sent("0/1", 3, 4, { term: 2 }));
  expect([its.deliveries, its.repeated]).toEqual([3, 1]);
});

const counts = (acked: number, dead: number, filtered: number) => ({ acked, dead, filtered });
const dead = (place: string, attempts: number) => ({ place, attempts });
