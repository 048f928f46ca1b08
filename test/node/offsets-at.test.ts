/**
 * Goal: a look-up by time finds the first record that is not older, also in files and after a trim.
 * Method: random produces at random times, compared with a plain list.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { forEachSeed } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";

setDefaultTimeout(120_000);

test("the first record that is not older is found, wherever it lies", async () => {
  const jobs: Promise<void>[] = [];
  forEachSeed(6, (random) => {
    jobs.push(
      (async () => {
        const single = new SingleNode(random, new SimDisk());
        let node = await single.open();
        await single.settled(node.createTopic("t", 2));
        const times: number[] = [];
        for (let i = 0; i < 120; i++) {
          if (random.below(3) === 0) await single.clock.advance(random.below(3000));
          const outcome = await single.settled(
            new Promise((done) =>
              node.produce(
                {
                  topic: "t",
                  partition: 0,
                  key: null,
                  idempotencyKey: null,
                  records: encodeRecord(null, new Uint8Array(random.below(3000))),
                  timeoutMs: null,
                  rocket: false,
                },
                done,
              ),
            ),
          );
          expect(outcome).toMatchObject({ ok: true, firstOffset: i });
          const page = await single.settled(
            node.consume({
              topic: "t",
              partition: 0,
              group: "g",
              offset: i,
              limit: 1,
              maxBytes: 1,
              linearizable: false,
            }),
          );
          if (!page.ok) throw new Error(page.code);
          times.push(timeOf(page.slices, i));
        }
        const check = async (low: number) => {
          const first = times[0] ?? 0;
          const last = times.at(-1) ?? 0;
          for (const timeMs of [0, first, last, last + 1, ...times, first + random.below(60_000)]) {
            const found = times.findIndex((time, i) => i >= low && time >= timeMs);
            const offset = found < 0 ? times.length : found;
            const answer = await single.settled(
              node.offsetsAt({ topic: "t", partition: null, timeMs, linearizable: true }),
            );
            expect(answer).toEqual({
              ok: true,
              topicId: 1,
              offsets: [
                { partition: 0, offset, timestampMs: times[offset] ?? null },
                { partition: 1, offset: 0, timestampMs: null },
              ],
            });
          }
        };
        await check(0);
        const low = random.below(100);
        await single.settled(node.deleteBefore({ topic: "t", partition: 0, beforeOffset: low }));
        await check(low);
        await single.settled(node.compact());
        await single.settled(node.stop());
        node = await single.open();
        await check(low);
        const none = node.offsetsAt({
          topic: "x",
          partition: null,
          timeMs: 0,
          linearizable: false,
        });
        expect(await single.settled(none)).toMatchObject({ ok: false, code: "topic_not_found" });
        await single.settled(node.stop());
      })(),
    );
  });
  await Promise.all(jobs);
});

function timeOf(slices: readonly Uint8Array[], offset: number): number {
  for (const slice of slices) {
    const cursor = new RecordCursor(slice);
    if (cursor.seek(offset)) return cursor.timestampMs;
  }
  throw new Error(`no record at ${offset}`);
}
