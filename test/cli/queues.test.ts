/** Queues and schedules with the command line, as processes against a real server. */
import { expect, test } from "bun:test";
import { createClient, type QueueMessage, RejectMessage } from "../../src/client/index.ts";
import { ayder, type Run, spawnAyder } from "../tools/process/ayder.ts";
import { testServer } from "../tools/process/test-server.ts";

const { server } = testServer();
const client = () => createClient({ url: server.url, token: "dev" });
const run = (...args: string[]): Promise<Run> => {
  const end = args.indexOf("--");
  const at = end < 0 ? args.length : end;
  return ayder([...args.slice(0, at), "--url", server.url, ...args.slice(at)]);
};

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000 && !(await what()); i++) await Bun.sleep(20);
}

test("queues are defined, listed, described, purged and deleted", async () => {
  await client().topics.create("jobs", { partitions: 1 });
  expect(
    await run("queues", "define", "mail", "jobs", "--backoff", "1s,2m", "--max-deliveries", "3"),
  ).toEqual({ code: 0, out: "created mail\n", err: "" });
  await client().produceBatch("jobs", ["a", "b"], { partition: 0 });
  const { out } = await run("queues");
  expect(out.split("\n")[0]).toBe("QUEUE  TOPIC  READY  IN FLIGHT  DELAYED  DEAD  ACKED  OLDEST");
  expect(out.split("\n")[1]).toMatch(/^mail {3}jobs {7}2 {10}0 {8}0 {5}0 {6}0 {2}\d+ s$/);
  const described = JSON.parse((await run("queues", "describe", "mail", "--json")).out);
  expect(described).toMatchObject({
    queue: "mail",
    backoff_ms: [1_000, 120_000],
    max_deliveries: 3,
    partitions: [{ partition: 0, low_offset: 0, end_offset: 2, unfinished: 2 }],
  });
  expect((await run("queues", "describe", "mail")).out).toContain("max deliveries     3");
  expect((await run("queues", "purge", "mail")).code).toBe(2);
  expect((await run("queues", "purge", "mail", "--yes")).out).toBe("finished 2 messages of mail\n");
  expect((await run("queues", "delete", "mail", "--yes")).out).toBe("deleted mail\n");
  const gone = await run("queues", "describe", "mail");
  expect([gone.code, gone.err]).toEqual([1, expect.stringContaining("queue_not_found")]);
  expect((await run("queues", "define", "mail", "jobs", "--order", "x")).code).toBe(2);
});

test("receive prints messages, and --ack finishes them", async () => {
  await client().topics.create("r", { partitions: 1 });
  await client().queue("r").define({ topic: "r" });
  await client().produce("r", "hello", { key: "k", headers: { kind: "x" } });
  const { out, code } = await run("receive", "r", "--wait", "10s", "--ack");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    topic: "r",
    offset: 0,
    key: "k",
    value: "hello",
    attempt: 1,
    headers: { kind: "x" },
  });
  expect(await client().queue("r").describe()).toMatchObject({ acked: 1, inFlight: 0 });
  expect(await run("receive", "r")).toEqual({ code: 1, out: "", err: "" });
});

test("work runs a command for each message: 0 acknowledges, anything else gives it back", async () => {
  await client().topics.create("w", { partitions: 1 });
  const queue = client().queue("w");
  await queue.define({ topic: "w", maxDeliveries: 2, backoffMs: [0] });
  await client().produceBatch("w", ["good", "bad", "good too"], { key: "k" });
  const script =
    'read line; echo "$AYDER_QUEUE $AYDER_KEY $AYDER_ATTEMPT $line"; [ "$line" != bad ]';
  const worker = spawnAyder([
    "work",
    "w",
    "-c",
    "2",
    "--url",
    server.url,
    "--",
    "sh",
    "-c",
    script,
  ]);
  await until(async () => {
    const { acked, dead } = await queue.describe();
    return acked === 2 && dead === 1;
  });
  worker.kill("SIGINT");
  expect(await worker.exited).toBe(0);
  const lines = (await new Response(worker.stdout).text()).trimEnd().split("\n").sort();
  expect(lines).toEqual(["w k 1 bad", "w k 1 good", "w k 1 good too", "w k 2 bad"]);
  expect(await new Response(worker.stderr).text()).toContain(
    "w/0 offset 1: sh exited with 1, attempt 2",
  );
  expect((await run("queues", "redrive", "w")).out).toBe("moved 1 dead letters back, 0 are left\n");
});

test("work does not begin with a program that does not exist, so no attempt is lost", async () => {
  await client().topics.create("typo", { partitions: 1 });
  const queue = client().queue("typo");
  await queue.define({ topic: "typo" });
  await client().produce("typo", "kept");
  const { code, err } = await run("work", "typo", "--", "no-such-program", "x");
  expect([code, err]).toEqual([2, expect.stringContaining("cannot run no-such-program")]);
  expect(await queue.describe()).toMatchObject({ ready: 1, inFlight: 0, delayed: 0 });
});

test("Ctrl-C in a terminal lets the command end, and acknowledges its message", async () => {
  await client().topics.create("ctrl", { partitions: 1 });
  const queue = client().queue("ctrl");
  await queue.define({ topic: "ctrl" });
  await client().produce("ctrl", "slow");
  const script = "echo begun; sleep 1; echo ended";
  const line = ["work", "ctrl", "--url", server.url, "--", "sh", "-c", script];
  const worker = spawnAyder(line, { detached: true });
  const output = new Response(worker.stdout).text();
  await until(async () => (await queue.describe()).inFlight === 1);
  await Bun.sleep(300);
  // A terminal sends the signal to the whole process group.
  process.kill(-worker.pid, "SIGINT");
  expect(await worker.exited).toBe(0);
  expect(await output).toBe("begun\nended\n");
  expect(await queue.describe()).toMatchObject({ acked: 1, inFlight: 0, delayed: 0 });
});

test("work of the client ends when its handlers have ended, also if the queue is gone", async () => {
  await client().topics.create("gone", { partitions: 1 });
  const queue = client().queue("gone");
  await queue.define({ topic: "gone" });
  await client().produce("gone", "one");
  let ended = false;
  const working = queue.work(
    async () => {
      await queue.delete();
      await Bun.sleep(200);
      ended = true;
    },
    { concurrency: 2, onError: () => {} },
  );
  await expect(working).rejects.toThrow("No such queue");
  expect(ended).toBe(true);
});

test("the client works on messages: it prolongs leases, gives back, and puts aside", async () => {
  await client().topics.create("c", { partitions: 1 });
  const queue = client().queue("c");
  expect(await queue.define({ topic: "c", backoffMs: [0], maxDeliveries: 3 })).toBe(true);
  await client().produceBatch("c", ["slow", "twice", "never"]);
  const seen: string[] = [];
  const stop = new AbortController();
  const handler = async (message: QueueMessage): Promise<void> => {
    seen.push(`${message.text} ${message.attempt}`);
    if (message.text === "slow") await Bun.sleep(3_000);
    if (message.text === "twice" && message.attempt === 1) throw new Error("once more");
    if (message.text === "never") throw new RejectMessage("no such order");
  };
  const work = queue.work(handler, { concurrency: 3, visibilityMs: 1_200, signal: stop.signal });
  await until(async () => {
    const { acked, dead } = await queue.describe();
    return acked === 2 && dead === 1;
  });
  stop.abort();
  await work;
  expect(seen.sort()).toEqual(["never 1", "slow 1", "twice 1", "twice 2"]);
  const { messages } = await client().read("c.dead", 0, { offset: 0 });
  expect(messages[0]?.headers).toMatchObject({ "dead-reason": "no such order" });
});

test("schedules are put, listed, shown and deleted, and messages scheduled once", async () => {
  await client().topics.create("s", { partitions: 1 });
  const put = await run(
    "schedules",
    "put",
    "nine",
    "0 9 * * 1-5",
    "s",
    "hi",
    "--tz",
    "Europe/Berlin",
  );
  expect([put.code, put.out]).toEqual([0, expect.stringMatching(/^nine: next at \d{4}-.*Z\n$/)]);
  const once = await run("schedules", "once", "s", "later", "--in", "1d", "--json");
  const { schedule_id: id } = JSON.parse(once.out);
  const list = (await run("schedules", "list", "s")).out.trimEnd().split("\n");
  expect(list.map((line) => line.split(/ +/)[0])).toEqual(["SCHEDULE", "nine", id]);
  expect(JSON.parse((await run("schedules", "show", "nine", "--json")).out)).toMatchObject({
    schedule: "nine",
    tz: "Europe/Berlin",
    value: "hi",
    runs: 0,
  });
  expect((await run("schedules", "delete", id)).out).toBe(`deleted ${id}\n`);
  expect((await run("schedules", "delete", "nine")).out).toBe("deleted nine\n");
  expect((await run("schedules", "once", "s", "x")).code).toBe(2);
  const bad = await run("schedules", "put", "bad", "0 99 * * *", "s", "hi");
  expect([bad.code, bad.err]).toEqual([1, expect.stringContaining("Invalid value for hour: 99")]);
  const soon = await client().schedule("s", { n: 1 }, { delayMs: 1 });
  expect(soon).toMatchObject({ duplicate: false, partition: 0 });
  const found: string[] = [];
  for await (const message of client().consume("s", {
    partition: 0,
    follow: true,
    from: "earliest",
  })) {
    found.push(message.text);
    break;
  }
  expect(found).toEqual(['{"n":1}']);
});
