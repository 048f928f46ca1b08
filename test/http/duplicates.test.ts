/** The answer to a duplicate depends on what is known of its first write. */
import { expect, test } from "bun:test";
import type { Produced } from "../../src/node/api.ts";
import { fixture } from "../tools/http/fixture.ts";

const KNOWN: Produced = {
  partition: 0,
  firstOffset: 7,
  count: 1,
  duplicate: true,
  payloadMatches: true,
  committed: true,
  batchId: 12,
  synced: true,
  ackedBy: 2,
  queueUs: 0,
  syncWaitUs: 0,
};

async function answerTo(changes: Partial<Produced>) {
  const { node, ask } = fixture();
  node.produce = (_request, done) => done({ ok: true, ...KNOWN, ...changes });
  return await ask("POST /broker/topics/t/produce?idempotency_key=k", { body: "x" });
}

const PLACE = { ok: true, offset: 7, partition: 0 };
const CASES: readonly [string, Partial<Produced>, number, object][] = [
  ["committed", {}, 200, { sealed: true, synced: null, duplicate: true }],
  [
    "committed, with another payload",
    { payloadMatches: false },
    200,
    { sealed: true, synced: null, duplicate: true, payload_matches: false },
  ],
  [
    "committed, and asked by a rocket",
    { batchId: 0, synced: null },
    200,
    { sealed: true, synced: null, duplicate: true },
  ],
  [
    "on its way, and asked by a rocket with another payload",
    { batchId: 0, synced: null, committed: false, payloadMatches: false },
    200,
    {
      batch_id: 0,
      sealed: false,
      durable: false,
      mode: "rocket",
      synced: null,
      duplicate: true,
      payload_matches: false,
    },
  ],
  [
    "on its way when the time is over",
    { synced: false, committed: false },
    202,
    { sealed: false, durable: false, mode: "sealed", synced: false, duplicate: true },
  ],
  [
    "committed, when the time of the duplicate is over",
    { synced: false },
    202,
    { sealed: true, synced: false, duplicate: true },
  ],
];

for (const [what, changes, status, fields] of CASES) {
  test(`a duplicate whose first write is ${what}`, async () => {
    const answer = await answerTo(changes);
    expect(answer).toMatchObject({ status });
    expect(answer.body).toEqual({ ...PLACE, ...fields });
  });
}
