/** Limits and deletion of messages, and checkpoints, with the command line as a process. */
import { expect, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { ayder, type Run } from "../tools/process/ayder.ts";
import { testServer } from "../tools/process/test-server.ts";

const { server } = testServer();
const url = () => server.url;
const client = () => createClient({ url: url(), token: "dev" });
const run = (...args: string[]): Promise<Run> => ayder([...args, "--url", url()]);
const lines = (text: string): string[] => text.trimEnd().split("\n");

test("a topic is described by key: the partition, the lag of its groups there, and nothing else", async () => {
  await client().topics.create("keyed", { partitions: 4 });
  const { partition } = await client().produce("keyed", "x", { key: "customer-7" });
  await client().commit({ topic: "keyed", group: "billing", partition, offset: 1 });
  await client().commit({
    topic: "keyed",
    group: "other",
    partition: (partition + 1) % 4,
    offset: 0,
  });
  const { code, out } = await run("topics", "describe", "keyed", "--key", "customer-7");
  expect([code, lines(out)]).toEqual([
    0,
    [
      `key customer-7 goes to partition ${partition}`,
      "",
      "PARTITION  LOW  END  OFFSETS  SIZE",
      `        ${partition}    0    1        1  11 B`,
      "",
      "GROUP    PARTITION  COMMITTED  LAG",
      `billing          ${partition}          1    0`,
      `other            ${partition}          -    1`,
    ],
  ]);
  const json = JSON.parse(
    (await run("topics", "describe", "keyed", "-k", "customer-7", "--json")).out,
  );
  expect(json.partitions).toEqual([{ partition, low_watermark: 0, end_offset: 1, bytes: 11 }]);
  const evil = await run("topics", "describe", "keyed", "--key", "\u001b[2Jx");
  expect(evil.out).toStartWith("key \\x1b[2Jx goes to partition ");
});

test("a topic is described by time: the first message of each partition that is not older", async () => {
  await client().topics.create("timed", { partitions: 2 });
  await client().produceBatch("timed", ["a", "b"], { partition: 0 });
  const [first] = (await client().read("timed", 0)).messages;
  const timeMs = first?.timestampMs ?? 0;
  expect(lines((await run("topics", "describe", "timed", "--at", String(timeMs))).out)).toEqual([
    "PARTITION  LOW  END  OFFSETS  SIZE  AT TIME  TIMESTAMP",
    `        0    0    2        2  2 B         0  ${new Date(timeMs).toISOString()}`,
    "        1    0    0        0  0 B         0  at the end",
  ]);
  const later = String(timeMs + 60_000);
  const json = JSON.parse((await run("topics", "describe", "timed", "--at", later, "--json")).out);
  expect([json.time_ms, json.offsets]).toEqual([
    timeMs + 60_000,
    [
      { partition: 0, offset: 2, timestamp_ms: null },
      { partition: 1, offset: 0, timestamp_ms: null },
    ],
  ]);
  expect(await run("topics", "describe", "timed", "--at", "soon")).toEqual({
    code: 2,
    out: "",
    err:
      'ayder: --at: "soon" is neither an age (10m; units are ms, s, m, h, d) nor a timestamp (2026-01-31T08:00Z, or milliseconds since 1970)\n' +
      "Try: ayder topics --help\n",
  });
});

test("the retention of a topic is set and shown, with the policy of all topics", async () => {
  await client().topics.create("kept", { partitions: 2 });
  expect(await run("topics", "retention", "kept", "--ttl", "7d", "--max-bytes", "1000")).toEqual({
    code: 0,
    out: "set the retention of kept\n",
    err: "",
  });
  expect((await run("topics", "retention", "kept", "--partition", "1", "--ttl", "0s")).code).toBe(
    0,
  );
  expect((await run("retention", "set", "*", "--ttl", "30d")).code).toBe(0);
  expect((await run("retention", "set", "other", "--ttl", "30d")).code).toBe(1);
  expect(lines((await run("topics", "retention", "kept")).out)).toEqual([
    "TOPIC  PARTITION      TTL_MS  MAX_BYTES",
    "*      all        2592000000  not set",
    "kept   all         604800000  1000",
    "kept   1                   0  not set",
  ]);
  expect((await run("topics", "retention", "kept", "--ttl", "inherit")).code).toBe(0);
  expect((await run("topics", "retention", "kept")).out).toContain(
    "kept   all        not set     1000\n",
  );
  const usage = async (...args: string[]) => {
    const { code, out, err } = await run("topics", "retention", "kept", ...args);
    expect([code, out]).toEqual([2, ""]);
    return lines(err)[0];
  };
  expect(await usage("--ttl", "soon")).toBe(
    'ayder: --ttl: "soon" is not a time such as 500ms, 30s, 5m, 2h or 7d',
  );
  expect(await usage("--ttl", "1s", "--ttl-ms", "5")).toBe(
    "ayder: --ttl and --ttl-ms exclude each other",
  );
  expect(await usage("--partition", "1")).toBe(
    "ayder: --partition needs a limit: give --ttl, --max-bytes or both",
  );
  expect(await usage("--max-bytes", "-1")).toContain("--max-bytes");
  expect(await run("topics", "retention", "none")).toMatchObject({ code: 1, out: "" });
});

test("old messages are deleted by offset and by time, after --yes", async () => {
  await client().topics.create("trimmed", { partitions: 2 });
  for (const partition of [0, 1]) {
    await client().produceBatch("trimmed", ["a", "b", "c"], { partition });
  }
  const low = async () =>
    (await client().topics.describe("trimmed")).partitions.map((each) => each.lowWatermark);
  const unsure = await run("topics", "trim", "trimmed", "--partition", "1", "--before", "2");
  expect([unsure.code, unsure.out, unsure.err]).toEqual([
    2,
    "",
    "ayder: nothing was deleted; confirm with --yes: 2 messages of trimmed/1 before offset 2\n",
  ]);
  expect(await low()).toEqual([0, 0]);
  expect(await run("topics", "trim", "trimmed", "--partition", "1", "--before", "2", "-y")).toEqual(
    {
      code: 0,
      out: "deleted 2 messages of trimmed/1\n",
      err: "",
    },
  );
  expect(await low()).toEqual([0, 2]);
  expect((await run("topics", "trim", "trimmed", "--before-time", "1h", "--yes")).out).toBe(
    "deleted 0 messages\n",
  );
  const future = String(Date.now() + 3_600_000);
  const all = await run("topics", "trim", "trimmed", "--before-time", future, "--yes", "--json");
  expect(lines(all.out).map((line) => JSON.parse(line))).toEqual([
    { topic: "trimmed", ok: true, partition: 0, deleted_count: 3, freed_bytes: 3 },
    { topic: "trimmed", ok: true, partition: 1, deleted_count: 1, freed_bytes: 1 },
  ]);
  expect(await low()).toEqual([3, 3]);

  const usage = async (...args: string[]) => {
    const { code, out, err } = await run("topics", "trim", "trimmed", ...args, "--yes");
    expect([code, out]).toEqual([2, ""]);
    return lines(err)[0];
  };
  expect(await usage()).toBe("ayder: topics trim needs --before or --before-time");
  expect(await usage("--before", "2")).toBe(
    "ayder: --before needs --partition, because each partition has its own offsets",
  );
  expect(await usage("--before", "2", "--before-time", "1h")).toBe(
    "ayder: --before and --before-time exclude each other",
  );
  expect(await usage("--before", "9007199254740993", "--partition", "0")).toBe(
    'ayder: --before: "9007199254740993" is not an integer of 0 or more',
  );
  expect(await run("topics", "trim", "trimmed", "--partition", "7", "--before", "1")).toEqual({
    code: 1,
    out: "",
    err: "ayder: trimmed has no partition 7: it has 2\n",
  });
});

test("admin shows the last synced index and takes a checkpoint", async () => {
  await client().topics.create("synced", { partitions: 1 });
  const { batchId = 0 } = await client().produce("synced", "x");
  const shown = await run("admin");
  expect([shown.code, shown.err]).toEqual([0, ""]);
  const [, index = ""] = /^synced up to index (\d+)\n$/.exec(shown.out) ?? [];
  expect(Number(index)).toBeGreaterThanOrEqual(batchId);
  expect((await run("admin", "status", "--json")).out).toMatch(
    /^\{"ok":true,"last_synced_batch_id":\d+\}\n$/,
  );
  const compacted = await run("admin", "compact");
  expect([compacted.code, compacted.err]).toEqual([0, ""]);
  expect(compacted.out).toMatch(/^checkpoint at index \d+, [\d.]+ [KM]?i?B of journal deleted\n$/);
  expect((await run("admin", "compact", "--json")).out).toMatch(
    /^\{"ok":true,"checkpoint_index":\d+,"freed_bytes":\d+\}\n$/,
  );
  expect((await run("admin", "shrink")).err).toStartWith(
    'ayder: admin has no action "shrink"; actions: status, compact\n',
  );
});
