/** Produce and consume with the command line, as processes against a real server. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { visible } from "../../src/cli/visible.ts";
import { createClient } from "../../src/client/index.ts";
import { ayder, type Run, type RunOptions, spawnAyder } from "../tools/process/ayder.ts";
import { serverCommand, startServer } from "../tools/process/server.ts";
import { testServer } from "../tools/process/test-server.ts";

const { directory, server } = testServer();
const url = () => server.url;
const client = () => createClient({ url: url(), token: "dev" });
const env = () => ({ AYDER_URL: url() });
const run = (args: string[], options: RunOptions = {}): Promise<Run> =>
  ayder(args, { ...options, env: env() });
let topics = 0;
async function newTopic(partitions = 1): Promise<string> {
  const topic = `t${topics++}`;
  await client().topics.create(topic, { partitions });
  return topic;
}
const stored = async (topic: string, partition = 0) =>
  (await client().read(topic, partition)).messages;
const texts = async (topic: string) => (await stored(topic)).map(({ text }) => text);

test("arguments are messages, with key and partition", async () => {
  const topic = await newTopic(2);
  expect(await run(["produce", topic, "a", '"b"', "-p", "1", "--key", "k"])).toEqual({
    code: 0,
    out: `2 messages in ${topic}/1, offsets 0 to 1\n`,
    err: "",
  });
  const messages = await stored(topic, 1);
  expect(messages.map(({ text, key }) => [text, key])).toEqual([
    ["a", "k"],
    ['"b"', "k"],
  ]);
  const rocket = await run(["produce", topic, "c", "-p", "0", "--rocket", "--json"]);
  expect(JSON.parse(rocket.out)).toEqual({
    topic,
    partition: 0,
    offset: 0,
    durable: false,
    duplicate: false,
  });
});

test("lines of standard input are messages, byte for byte", async () => {
  const topic = await newTopic();
  const stdin = Buffer.concat([
    Buffer.from('one\r\n"two"\n\n'),
    Buffer.from([0xff, 0x00, 0x0a]),
    Buffer.from("last"),
  ]);
  const { code, out } = await run(["produce", topic, "-p", "0"], { stdin });
  expect([code, out]).toEqual([0, `4 messages in ${topic}/0, offsets 0 to 3\n`]);
  expect((await stored(topic)).map(({ bytes }) => Buffer.from(bytes))).toEqual([
    Buffer.from("one"),
    Buffer.from('"two"'),
    Buffer.from([0xff, 0x00]),
    Buffer.from("last"),
  ]);
  const lines = await newTopic();
  await run(["produce", lines, "-p", "0", "--ndjson"], { stdin: '"a\\nb"\n{"n": 1}\n"broken\n' });
  expect(await texts(lines)).toEqual(["a\nb", '{"n": 1}', '"broken']);
});

test("many lines keep their order and share requests", async () => {
  const topic = await newTopic();
  const all = Array.from({ length: 30_000 }, (_, i) => `line ${i}`);
  const { code, out } = await run(["produce", topic, "-p", "0"], { stdin: all.join("\n") });
  expect([code, out]).toEqual([0, `30000 messages in ${topic}/0, offsets 0 to 29999\n`]);
  const read = await run(["consume", topic]);
  expect(read.out).toBe(`${all.join("\n")}\n`);
});

test("a message is sent as soon as it is read, and reported with --json", async () => {
  const topic = await newTopic();
  const child = Bun.spawn([...serverCommand(), "produce", topic, "-p", "0", "--json"], {
    env: { ...process.env, ...env() },
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  child.stdin.write("first\n");
  await child.stdin.flush();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  expect(JSON.parse(new TextDecoder().decode(value))).toMatchObject({ partition: 0, offset: 0 });
  expect(await texts(topic)).toEqual(["first"]);
  await child.stdin.end();
  expect(await child.exited).toBe(0);
});

test("files are messages; a missing file is code 2", async () => {
  const topic = await newTopic();
  const path = join(directory.path, "file");
  await Bun.write(path, "two\nlines\n");
  const args = ["produce", topic, "-p", "0", "--file", path, "--file", "-"];
  expect((await run(args, { stdin: "whole\ninput" })).code).toBe(0);
  expect(await texts(topic)).toEqual(["two\nlines\n", "whole\ninput"]);
  const missing = await run(["produce", topic, "--file", `${path}-not`]);
  expect([missing.code, missing.err.includes("ENOENT")]).toEqual([2, true]);
});

test("an idempotency key stores a batch exactly once", async () => {
  const topic = await newTopic();
  const args = ["produce", topic, "-p", "0", "--idempotency-key", "import-7"];
  const first = await run(args, { stdin: "a\nb\n" });
  expect([first.code, first.out]).toEqual([0, `2 messages in ${topic}/0, offsets 0 to 1\n`]);
  const again = await run(args, { stdin: "a\nb\n" });
  expect([again.code, again.out]).toEqual([0, first.out]);
  expect(again.err).toContain("already stored");
  expect(await texts(topic)).toEqual(["a", "b"]);
  const big = `fine\n${"x".repeat((1 << 20) + 1)}\n`;
  const refused = await run(["produce", topic, "-p", "0", "--atomic"], { stdin: big });
  expect([refused.code, refused.err.includes("message_too_large")]).toEqual([1, true]);
  expect(await texts(topic)).toEqual(["a", "b"]);
  expect((await run(["produce", topic, "--atomic"], { stdin: "" })).code).toBe(2);
});

test("a failure reports how many messages were stored", async () => {
  const topic = await newTopic();
  const big = `fine\n${"x".repeat((1 << 20) + 1)}\n`;
  const { code, out, err } = await run(["produce", topic, "-p", "0"], { stdin: big });
  expect([code, out]).toEqual([1, `1 message in ${topic}/0, offset 0\n`]);
  expect(err).toContain("1 stored, 1 failed; first error");
  expect(err).toContain("message_too_large");
  expect((await run(["produce", topic, "x", "-p", "9"])).code).toBe(1);
});

test("consume prints all partitions, keys, offsets and JSON", async () => {
  const topic = await newTopic(2);
  await client().produce(topic, "a\tb", { partition: 0, key: "k" });
  await client().produce(topic, Uint8Array.of(255, 10), { partition: 1 });
  expect((await run(["consume", topic, "-p", "0"])).out).toBe("a\tb\n");
  expect((await run(["consume", topic, "-p", "0", "-k", "-o"])).out).toBe("0/0\tk\ta\tb\n");
  const [first, second] = (await run(["consume", topic, "--json"])).out.trim().split("\n");
  expect(JSON.parse(first ?? "")).toMatchObject({
    partition: 0,
    offset: 0,
    key: "k",
    value: "a\tb",
  });
  expect(JSON.parse(second ?? "")).toMatchObject({ partition: 1, offset: 0, value_b64: "/wo=" });
  const child = spawnAyder(["consume", topic, "-p", "1", "--raw"], { env: env() });
  expect(new Uint8Array(await new Response(child.stdout).arrayBuffer())).toEqual(
    Uint8Array.of(255, 10),
  );
  const missing = await run(["consume", "no-such-topic"]);
  expect([missing.code, missing.err.includes("topic_not_found")]).toEqual([1, true]);
});

test("limit, from, group and commit", async () => {
  const topic = await newTopic();
  await client().produceBatch(topic, ["0", "1", "2", "3", "4"], { partition: 0 });
  expect((await run(["consume", topic, "--from", "3"])).out).toBe("3\n4\n");
  expect((await run(["consume", topic, "--from", "latest"])).out).toBe("");
  const args = ["consume", topic, "--group", "g"];
  expect((await run([...args, "-n", "2"])).out).toBe("0\n1\n");
  expect((await run([...args, "-n", "2", "--commit"])).out).toBe("0\n1\n");
  expect(await client().groups(topic)).toMatchObject([{ committedOffset: 2, lag: 3 }]);
  expect((await run([...args, "--commit"])).out).toBe("2\n3\n4\n");
  expect((await run(args)).out).toBe("");
  expect((await run([...args, "--from", "earliest"])).out).toBe("0\n1\n2\n3\n4\n");
  expect((await run(["consume", topic, "--commit"])).code).toBe(2);
  expect((await run(["consume", topic, "--from", "soon"])).code).toBe(2);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`follow prints and commits new messages, and ends with 0 on ${signal}`, async () => {
    const topic = await newTopic(2);
    const args = ["consume", topic, "--follow", "--group", "g", "--commit"];
    const child = spawnAyder(args, { env: env() });
    const reader = child.stdout.getReader();
    let out = "";
    for (let i = 0; i < 6; i++) {
      await client().produce(topic, `m${i}`, { partition: i % 2 });
      while (!out.includes(`m${i}\n`)) out += new TextDecoder().decode((await reader.read()).value);
    }
    let lag = 1;
    while (lag > 0) lag = (await client().groups(topic)).reduce((sum, group) => sum + group.lag, 0);
    child.kill(signal);
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stderr).text()).toBe("");
    expect(out.trim().split("\n").sort()).toEqual(["m0", "m1", "m2", "m3", "m4", "m5"]);
  });
}

test("follow survives a restart of its server, and reports the outage", async () => {
  const dataDir = join(directory.path, "restarted");
  const first = await startServer({ dataDir });
  const there = createClient({ url: first.url, token: "dev", retryMs: 60_000 });
  await there.produce("log", "before", { partition: 0 });
  const child = spawnAyder(["consume", "log", "-f", "-p", "0"], { env: { AYDER_URL: first.url } });
  const reader = child.stdout.getReader();
  const next = async () => new TextDecoder().decode((await reader.read()).value);
  expect(await next()).toBe("before\n");
  await first.kill();
  const told = child.stderr.getReader();
  expect(new TextDecoder().decode((await told.read()).value)).toMatch(/; trying again\n$/);
  const second = await startServer({ dataDir, args: ["--port", new URL(first.url).port] });
  try {
    await there.produce("log", "after", { partition: 0 });
    expect(await next()).toBe("after\n");
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
  } finally {
    await second.kill();
  }
}, 60_000);

test("a closed pipe ends the command without a message, also while following", async () => {
  const topic = await newTopic();
  const values = Array.from({ length: 5000 }, (_, i) => `${i} ${"x".repeat(100)}`);
  await client().produceBatch(topic, values, { partition: 0 });
  for (const more of ["", "--follow"]) {
    const command = serverCommand()
      .map((word) => `'${word}'`)
      .join(" ");
    const child = Bun.spawn(
      ["bash", "-c", `${command} consume ${topic} ${more} | head -1; echo "\${PIPESTATUS[@]}"`],
      { env: { ...process.env, ...env() }, stdout: "pipe", stderr: "pipe" },
    );
    const out = await new Response(child.stdout).text();
    expect(out.split("\n")).toEqual([values[0] ?? "", "0 0", ""]);
    expect(await new Response(child.stderr).text()).toBe("");
  }
});

test("control sequences of messages are escaped on a terminal and unchanged in a pipe", async () => {
  const topic = await newTopic();
  const hostile = "\u001b]0;title\u0007\u001b[2J\u009b31m\r\u202eevil\u2066";
  await client().produce(topic, hostile, { partition: 0, key: "\u001b[31mk" });
  expect((await run(["consume", topic, "-k"])).out).toBe(`\u001b[31mk\t${hostile}\n`);
  // `script` runs the child on a terminal.
  const words = [...serverCommand(), "consume", topic, "-k"].map((word) => `'${word}'`).join(" ");
  const child = Bun.spawn(["script", "-qec", words, "/dev/null"], {
    env: { ...process.env, ...env() },
    stdin: "ignore",
    stdout: "pipe",
  });
  const out = await new Response(child.stdout).text();
  const shown = "\\x1b]0;title\\x07\\x1b[2J\\x9b31m\\r\\u202eevil\\u2066";
  expect(out.trim()).toBe(`\\x1b[31mk\t${shown}`);
  expect(visible("plain ÄΩ𝄞 \ud800 text\n")).toBe("plain ÄΩ𝄞 \\ud800 text\\n");
});

test("headers are set by name and printed as JSON", async () => {
  const topic = await newTopic();
  const wrote = await run(["produce", topic, "a", "b", "--header", "city=Köln=1", "-H", "Trace=7"]);
  expect(wrote).toMatchObject({ code: 0, err: "" });
  const headers = { city: "Köln=1", trace: "7" };
  expect((await stored(topic)).map((message) => message.headers)).toEqual([headers, headers]);
  await client().produce(topic, "plain");
  const printed = await run(["consume", topic, "--headers"]);
  expect(printed.out).toBe(
    `${JSON.stringify(headers)}\ta\n${JSON.stringify(headers)}\tb\n{}\tplain\n`,
  );
  const json = (await run(["consume", topic, "--json"])).out.trim().split("\n");
  expect(json.map((line) => JSON.parse(line).headers)).toEqual([headers, headers, undefined]);
  for (const [given, why] of [
    ["city", "--header city: it must be NAME=VALUE"],
    ["=x", "--header =x: it must be NAME=VALUE"],
  ] as const) {
    const { code, err } = await run(["produce", topic, "x", "--header", given]);
    expect([code, err.includes(why)]).toEqual([2, true]);
  }
  const twice = await run(["produce", topic, "x", "-H", "a=1", "-H", "A=2"]);
  expect(twice.err).toContain("--header A=2: a is given twice");
  const bad = await run(["produce", topic, "x", "-H", "a b=1"]);
  expect([bad.code, bad.err.includes('The header name is "a b"')]).toEqual([1, true]);
});

test("--since starts at an age or a timestamp", async () => {
  const topic = await newTopic();
  await client().produce(topic, "old");
  await Bun.sleep(20);
  const { offset } = await client().produce(topic, "new");
  const time = (await client().read(topic, 0, { offset })).messages[0]?.timestampMs ?? 0;
  const lines = async (since: string) => (await run(["consume", topic, "--since", since])).out;
  expect(await lines("1h")).toBe("old\nnew\n");
  expect(await lines("1970-01-01")).toBe("old\nnew\n");
  expect(await lines(String(time))).toBe("new\n");
  expect(await lines(new Date(time).toISOString())).toBe("new\n");
  expect(await lines(String(time + 1))).toBe("");
  for (const bad of ["10", "10w", "yesterday", "2026-13-01", "-1h"].slice(1)) {
    const { code, err } = await run(["consume", topic, `--since=${bad}`]);
    expect([code, err.includes(`--since: "${bad}" is neither an age`)]).toEqual([2, true]);
  }
  const both = await run(["consume", topic, "--since", "1h", "--from", "0"]);
  expect([both.code, both.err.includes("--since and --from exclude each other")]).toEqual([
    2,
    true,
  ]);
  const sought = await run(["groups", "seek", topic, "g", "--to-time", String(time)]);
  expect(sought).toMatchObject({ code: 0, out: `g continues at ${topic}/0 offset 1\n` });
});

test("lines are records with their own keys and headers, and a topic is copied with them", async () => {
  const topic = await newTopic();
  const stdin = Buffer.from(
    [
      '{"value":{"n" : 1.0},"key":"k","headers":{"city":"Köln","a":"own"}}',
      "",
      '{"value":"text","offset":7,"partition":3,"timestamp_ms":1,"topic":"other"}',
      '{"value_b64":"AP8K","key":""}',
    ].join("\n"),
  );
  const args = ["produce", topic, "--records", "-p", "0", "-H", "a=b", "--key", "usual"];
  expect(await run(args, { stdin })).toMatchObject({
    code: 0,
    out: `3 messages in ${topic}/0, offsets 0 to 2\n`,
  });
  const shape = async (name: string) =>
    (await stored(name)).map(({ bytes, key, headers }) => [Buffer.from(bytes), key, headers]);
  const records = [
    [Buffer.from('{"n" : 1.0}'), "k", { a: "own", city: "Köln" }],
    [Buffer.from("text"), "usual", { a: "b" }],
    [Buffer.from([0, 255, 10]), "", { a: "b" }],
  ];
  expect(await shape(topic)).toEqual(records as never);
  const { out } = await run(["consume", topic, "--json"]);
  for (const more of [[], ["--atomic"]]) {
    const copy = await newTopic();
    const copied = await run(["produce", copy, "--records", ...more], { stdin: Buffer.from(out) });
    expect(copied).toMatchObject({ code: 0, out: `3 messages in ${copy}/0, offsets 0 to 2\n` });
    expect(await shape(copy)).toEqual(records as never);
  }
});

test("a line that is no record is told by its number, and the records before it are stored", async () => {
  const topic = await newTopic();
  const cases: readonly [string, string][] = [
    ["[1]", "line 2: it must be a JSON object with a value"],
    ['{"value":}', "line 2, column 10: this is not JSON: a value is missing or malformed"],
    ['{"key":"k"}', "line 2: value or value_b64 is required"],
    ['{"value":1,"valeu":2}', 'line 2: unknown field "valeu"'],
    ['{"value":1,"key":7}', "line 2: key must be a text"],
    ['{"value":1,"headers":{"a":1}}', "line 2: headers.a must be a text"],
    ['{"value_b64":"?"}', "line 2: value_b64 is not base64"],
    ['{"value":1,"value":2}', 'line 2: "value" is given twice'],
  ];
  for (const [line, message] of cases) {
    const stdin = Buffer.from(`{"value":"good"}\n${line}\n`);
    const { code, err } = await run(["produce", topic, "--records", "-p", "0"], { stdin });
    expect([code, err.split("\n")[0]]).toEqual([2, `ayder: ${message}`]);
  }
  expect(await texts(topic)).toEqual(cases.map(() => "good"));
  for (const [options, message] of [
    [["--records", "--ndjson"], "--records reads records; it excludes --ndjson and --file"],
    [["--producer-epoch", "1"], "--producer-epoch needs --producer-id"],
    [
      ["--producer-id", "p", "--atomic"],
      "--producer-id excludes --atomic, --idempotency-key and --rocket",
    ],
  ] as const) {
    const { code, err } = await run(["produce", topic, "x", ...options]);
    expect([code, err.split("\n")[0]]).toEqual([2, `ayder: ${message}`]);
  }
});

test("a named producer fences an older one, and tells when its number was used", async () => {
  const topic = await newTopic();
  const write = (text: string, epoch: string) =>
    run(["produce", topic, text, "-p", "0", "--producer-id", "p", "--producer-epoch", epoch]);
  expect((await write("a", "5")).code).toBe(0);
  expect((await write("b", "6")).code).toBe(0);
  const old = await write("c", "5");
  expect([old.code, old.err.includes("(stale_epoch)")]).toEqual([1, true]);
  const again = await write("d", "6");
  expect([again.code, again.err.includes("sequence_conflict")]).toEqual([1, true]);
  expect(await texts(topic)).toEqual(["a", "b"]);
  expect((await run(["produce", topic, "e", "-p", "0", "--producer-id", "p"])).code).toBe(0);
});
test("processes that join a group share its partitions; Ctrl-C leaves it without a name", async () => {
  const topic = await newTopic(2);
  const args = ["consume", topic, "--group", topic, "--join", "--commit"];
  const a = spawnAyder(args, { env: env() });
  const b = spawnAyder([...args, "--member", "b"], { env: env() });
  const described = () => client().describeGroup(topic);
  const owners = async () => {
    const { partitions } = await described().catch(() => ({ partitions: [] }));
    return partitions
      .map(({ owner, next }) => `${owner === "b" ? "b" : (owner ?? "").slice(0, 2)} ${next}`)
      .sort()
      .join(", ");
  };
  while ((await owners()) !== "b undefined, m- undefined") await Bun.sleep(10);
  const { partitions } = await described();
  for (const { partition, owner } of partitions) {
    await client().produce(topic, owner === "b" ? "for b" : "for a", { partition });
  }
  while ((await described()).lag > 0) await Bun.sleep(10);
  a.kill("SIGINT");
  expect(await a.exited).toBe(0);
  expect(await new Response(a.stdout).text()).toBe("for a\n");
  expect((await described()).members.map(({ member }) => member)).toEqual(["b"]);
  for (const partition of [0, 1]) await client().produce(topic, "later", { partition });
  while ((await described()).lag > 0) await Bun.sleep(10);
  const shown = await run(["groups", "describe", topic]);
  expect(shown.out.split("\n").map((line) => line.split(/ {2,}/)[0])).toEqual([
    "MEMBER",
    "b",
    "",
    "TOPIC",
    topic,
    topic,
    "",
  ]);
  b.kill("SIGTERM");
  expect(await b.exited).toBe(0);
  expect(await new Response(b.stdout).text()).toBe("for b\nlater\nlater\n");
  expect((await described()).members.map(({ member }) => member)).toEqual(["b"]);
  expect(await new Response(b.stderr).text()).toBe("");
});

test("a member ends at its limit, and reads again what it did not commit", async () => {
  const topic = await newTopic();
  await client().produceBatch(topic, ["0", "1", "2"], { partition: 0 });
  const args = ["consume", topic, "--group", topic, "--join"];
  expect(await run([...args, "-n", "2"])).toEqual({ code: 0, out: "0\n1\n", err: "" });
  expect((await run([...args, "-n", "2", "--commit"])).out).toBe("0\n1\n");
  expect((await run([...args, "-n", "1", "--commit"])).out).toBe("2\n");
  for (const [wrong, message] of [
    [["consume", topic, "--join"], "--join needs --group"],
    [[...args, "--from", "0"], "--join and --from exclude each other"],
    [[...args, "-p", "0"], "--join and --partition exclude each other"],
  ] as const) {
    const { code, err } = await run([...wrong]);
    expect([code, err.includes(message)]).toEqual([2, true]);
  }
});
