import { expect, test } from "bun:test";
import type { ProduceOutcome, ProduceRequest } from "../../src/node/api.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { Random } from "../sim/random.ts";
import { SimDisk } from "../sim/sim-disk.ts";
import { SingleNode } from "./single-node.ts";

const request = (more: Partial<ProduceRequest>): ProduceRequest => ({
  topic: "t",
  partition: 0,
  key: null,
  idempotencyKey: null,
  records: encodeRecord(null, new Uint8Array([7])),
  timeoutMs: null,
  rocket: false,
  ...more,
});

/** A sync takes longer than anybody waits who has a deadline. */
const SYNC_MS = 50;

/** Everything that one produce is answered, until long after it was applied. */
async function answersTo(
  more: Partial<ProduceRequest>,
  syncMs = SYNC_MS,
): Promise<ProduceOutcome[]> {
  const slow: { clock: SingleNode["clock"] | null } = { clock: null };
  const disk = new SimDisk({
    delay: (operation) =>
      operation === "sync" && slow.clock !== null
        ? new Promise<void>((resolve) => slow.clock?.after(syncMs, resolve))
        : null,
  });
  const single = new SingleNode(new Random(1), disk);
  const node = await single.open();
  await single.settled(node.createTopic("t", 1));
  slow.clock = single.clock;
  const answers: ProduceOutcome[] = [];
  node.produce(request(more), (outcome) => answers.push(outcome));
  await single.clock.advance(30_000);
  slow.clock = null;
  await single.settled(node.stop());
  return answers;
}

test("a rocket is answered once, although its record is applied later", async () => {
  expect(await answersTo({ rocket: true })).toMatchObject([{ ok: true, batchId: 0, synced: null }]);
});

test("who has waited long enough is answered once, although the write goes on", async () => {
  expect(await answersTo({ timeoutMs: 1 })).toMatchObject([{ ok: true, synced: false }]);
});

test("who asks for more time than the server gives to others gets it", async () => {
  expect(await answersTo({}, 7000)).toMatchObject([{ ok: false, code: "commit_timeout" }]);
  expect(await answersTo({ timeoutMs: 6000 }, 7000)).toMatchObject([{ ok: true, synced: false }]);
  expect(await answersTo({ timeoutMs: 8000 }, 7000)).toMatchObject([{ ok: true, synced: true }]);
});

test("a sealed write is answered once, when it is proven", async () => {
  expect(await answersTo({})).toMatchObject([{ ok: true, synced: true, ackedBy: 1 }]);
});
