/** Queries over all partitions of a topic: the same tables as if the records were in one partition. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { ayder } from "../tools/process/ayder.ts";
import { testServer } from "../tools/process/test-server.ts";
import { Random } from "../tools/random.ts";

setDefaultTimeout(60_000);
const { server } = testServer();
const client = () => createClient({ url: server.url, token: "dev" });
const run = (...args: string[]) => ayder(args, { env: { AYDER_URL: server.url } });
const PARTITIONS = 3;

/** Numbers that doubles add without rounding, in any order; and values that measures ignore. */
const VALUES = [
  "1",
  "-1",
  "0",
  "0.5",
  "-2.25",
  "9223372036854775807",
  "-9223372036854775807",
  "170141183460469231731687303715884105728",
  '"7"',
  "null",
  "[1]",
  "true",
  "1e400",
];
const GROUPS = ['"eu"', '"us"', "7", "7.0", '"7"', "null", "true", '{"a":1}', '"\\u00e9"'];

function records(seed: number): string[] {
  const random = new Random(seed);
  return Array.from({ length: 120 }, () => {
    const integers =
      random.below(4) > 0 ? `,"n":${random.pick(["1", "-1", "12345678901234567890", '"x"'])}` : "";
    return `{"g":${random.pick(GROUPS)},"v":${random.pick(VALUES)},"at":${random.below(5) * 1000}${integers}}`;
  });
}

beforeAll(async () => {
  await client().topics.create("one", { partitions: 1 });
  await client().topics.create("spread", { partitions: PARTITIONS });
  for (const [i, record] of records(11).entries()) {
    await client().produce("one", record, { partition: 0 });
    await client().produce("spread", record, { partition: i % PARTITIONS });
  }
});

/** The table, without the line of facts. */
async function tableOf(topic: string, args: readonly string[]): Promise<string> {
  const { code, out, err } = await run("query", topic, ...args);
  expect([code, err]).toEqual([0, ""]);
  return out.slice(0, out.lastIndexOf("\ntopic "));
}

for (const args of [
  ["--count"],
  ["--group-by", "g"],
  ["--group-by", "g", "--sum", "n", "--avg", "n", "--min", "n", "--max", "n", "--count-of", "n,v"],
  ["--min", "v", "--max", "v", "--group-by", "at", "--where", "at>=2000"],
  ["--sum", "v", "--avg", "v", "--group-by", "at", "--where", "v!=0.5,-2.25"],
  ["--avg", "n as mean,at", "--window", "2s", "--by", "at", "--group-by", "g"],
  ["--avg", "v", "--where", "v=1,-1,0,0.5", "--group-by", "g,at"],
  ["--sum", "n as count_of_n", "--avg", "missing", "--where", "g!=eu"],
  ["--where", "g=nothing", "--sum", "n"],
]) {
  test(`${args.join(" ")} over partitions is as over one`, async () => {
    const whole = await tableOf("one", args);
    expect(await tableOf("spread", args)).toBe(whole);
    if (!args.includes("g=nothing")) expect(whole.split("\n").length).toBeGreaterThan(1);
  });
}

test("the facts add up", async () => {
  const { out } = await run("query", "spread", "--sum", "v");
  const whole = await run("query", "one", "--sum", "v");
  const [, outOfRange = ""] = /out_of_range (\d+)/.exec(whole.out) ?? [];
  expect(Number(outOfRange)).toBeGreaterThan(0);
  expect(out).toEndWith(
    `topic spread, partitions 3, consumed 120, undecodable 0, untimed 0, out_of_range ${outOfRange}\n`,
  );
});

test("rows come partition by partition, and what is left is named", async () => {
  const args = ["query", "spread", "--select", "$offset", "--rows"];
  const all = await run(...args, "500");
  expect([all.code, all.err, all.out.split("\n").length]).toEqual([0, "", 124]);
  const some = await run(...args, "50");
  expect(some.out.split("\n").length).toBe(54);
  expect(some.err).toBe(
    "ayder: truncated: more rows exist; continue with --partition 1 --from 10, --partition 2\n",
  );
  const rest = await run(...args, "500", "--partition", "1", "--from", "10");
  expect([rest.err, rest.out.split("\n").length]).toEqual(["", 34]);
});

test("--json prints the answer of each partition, --print-json the requests", async () => {
  const args = ["query", "spread", "--count", "--since", "2020-01-01"];
  const answers = (await run(...args, "--json")).out.trimEnd().split("\n");
  expect(answers.map((line) => JSON.parse(line).source.partition)).toEqual([0, 1, 2]);
  expect((await run(...args, "--print-json")).out.trimEnd().split("\n")).toEqual(
    [0, 1, 2].map(
      (partition) =>
        `{"source":{"topic":"spread","partition":${partition},"offset":0},"aggregate":{"measures":[{"op":"count"}]}}`,
    ),
  );
});
