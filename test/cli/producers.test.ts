/** `ayder producers` as a process, and the same by the client. */
import { expect, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { ayder, type Run } from "../tools/process/ayder.ts";
import { testServer } from "../tools/process/test-server.ts";

const { server } = testServer();
const client = () => createClient({ url: server.url, token: "dev" });
const run = (...args: string[]): Promise<Run> => ayder(args, { env: { AYDER_URL: server.url } });

const wire = ({ lastWriteMs, ...each }: { readonly lastWriteMs: number }) => ({
  ...each,
  last_write_ms: lastWriteMs,
});

test("producers are listed by their last writes, and forgotten", async () => {
  await client().topics.create("t", { partitions: 2 });
  const producer = client().producer("t", { id: "meter 7\u001b", epoch: 3 });
  await producer.send("a", { partition: 0 });
  await producer.send("b", { partition: 0 });
  await producer.send("c", { partition: 1 });
  const { total, producers } = await client().topics.producers("t");
  const times = producers.map(({ lastWriteMs }) => new Date(lastWriteMs).toISOString());
  const known = { id: "meter 7\u001b", epoch: 3, count: 1 };
  expect([total, producers]).toEqual([
    2,
    [
      { ...known, partition: 1, seq: 0, offset: 0, last: 0 },
      { ...known, partition: 0, seq: 1, offset: 1, last: 1 },
    ].map(({ last, ...each }) => ({ ...each, lastWriteMs: producers[last]?.lastWriteMs ?? 0 })),
  ]);
  expect(await run("producers", "list", "t")).toEqual({
    code: 0,
    out: [
      `PRODUCER     PARTITION  EPOCH  SEQ  OFFSET  LAST WRITE`,
      `meter 7\\x1b          1      3    0       0  ${times[0]}`,
      `meter 7\\x1b          0      3    1       1  ${times[1]}`,
      "",
    ].join("\n"),
    err: "",
  });
  const one = await run("producers", "list", "t", "-p", "0", "-n", "1", "--json");
  expect(JSON.parse(one.out)).toEqual({
    topic: "t",
    total: 2,
    producers: producers.slice(1).map(wire),
  });
  const forgotten = await run("producers", "forget", "t", "meter 7\u001b");
  expect(forgotten.out).toBe("forgot meter 7\\x1b in 2 partitions of t\n");
  const again = await run("producers", "forget", "t", "meter 7\u001b");
  expect([again.code, again.err.includes("producer_not_found")]).toEqual([1, true]);
  expect(await client().topics.producers("t")).toMatchObject({ total: 0, producers: [] });
});
