/** Webhooks with the command line, as processes against a real server and a real receiver. */
import { afterAll, expect, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { ayder, type Run } from "../tools/process/ayder.ts";
import { testServer } from "../tools/process/test-server.ts";
import { BOTH, Receiver, verified } from "../tools/webhook/receiver.ts";

const { server } = testServer({ RF_WEBHOOK_ALLOW: "127.0.0.1" });
const client = () => createClient({ url: server.url, token: "dev" });
const run = (...args: string[]): Promise<Run> => ayder(["webhooks", ...args, "--url", server.url]);
const receiver = new Receiver();
afterAll(() => receiver.stop());

async function until(what: () => Promise<boolean>): Promise<void> {
  while (!(await what())) await Bun.sleep(20);
}

test("a webhook is created, shown, tested, updated, paused, rotated and deleted", async () => {
  await client().topics.create("orders", { partitions: 1 });
  const options = ["--where", "n>=2", "--header", "X-Own=1", "--backoff", "1ms,2s"];
  const created = await run("create", "hook", "orders", receiver.url, ...options);
  expect(created).toMatchObject({ code: 0, err: "" });
  const [line = "", secret = ""] = created.out.split("\n");
  expect(line).toBe("created hook");
  await client().produceBatch("orders", [{ n: 1 }, { n: 2 }], { partition: 0 });
  const request = await receiver.request(0);
  expect([request.text, request.headers["x-own"]]).toEqual(['{"n":2}', "1"]);
  expect(verified(request, secret)).toEqual(BOTH);
  await until(async () => (await client().webhooks.get("hook")).delivered === 1);
  expect(JSON.parse((await run("show", "hook", "--json")).out)).toMatchObject({
    ...{ webhook: "hook", backoff_ms: [1, 2_000], headers: { "x-own": "1" }, filtered: 1 },
    filter: [{ field: "n", op: "ge", value: 2 }],
  });
  expect((await run("show", "hook")).out).toContain("delivered");
  const [head = "", row = ""] = (await run()).out.split("\n");
  expect(head.split(/ +/)).toEqual([
    ...["WEBHOOK", "TOPIC", "STATE", "READY", "DELAYED", "DEAD", "DELIVERED", "URL"],
  ]);
  expect(row.split(/ +/)).toEqual(["hook", "orders", "active", "0", "0", "0", "1", receiver.url]);
  expect((await run("test", "hook")).out).toMatch(/^status 200 after \d+ ms\nok\n$/);
  receiver.answer = () => new Response("no", { status: 500 });
  expect(await run("test", "hook")).toMatchObject({ code: 1, err: "" });
  expect((await run("update", "hook")).code).toBe(2);
  expect((await run("update", "hook", "--max-in-flight", "3")).out).toBe("updated hook\n");
  expect(await client().webhooks.get("hook")).toMatchObject({
    ...{ maxInFlight: 3, backoffMs: [1, 2_000], headers: { "x-own": "1" } },
    filter: [{ field: "n", op: "ge", value: 2 }],
  });
  const digits = '"filter":[{"field":"n","op":"in","value":[2,9007199254740993]}]';
  expect((await run("update", "hook", "--where", "n=2,9007199254740993")).code).toBe(0);
  // An update of something else keeps what is not named.
  expect((await run("update", "hook", "--max-in-flight", "4")).out).toBe("updated hook\n");
  expect((await run("show", "hook", "--json")).out).toContain(digits);
  expect((await run("list", "--json")).out).toContain(digits);
  expect((await run("show", "hook")).out).toContain("9007199254740993");
  expect((await run("pause", "hook")).out).toBe("paused hook\n");
  expect((await run("pause", "hook")).out).toBe("hook was paused already\n");
  expect((await run()).out).toContain("paused");
  expect((await run("resume", "hook")).out).toBe("resumed hook\n");
  expect((await run("rotate", "hook")).out).toMatch(
    /^whsec_\S+\nthe former secret signs too until /,
  );
  const all = (await run("deliveries", "hook")).out.trimEnd().split("\n");
  expect(all.length).toBe(4);
  expect(all.at(-1)?.split(/ +/).slice(1, 4)).toEqual(["0/1", "1", "delivered"]);
  const failed = (await run("deliveries", "hook", "--status", "5xx", "--json")).out;
  expect(JSON.parse(failed)).toMatchObject({ test: true, status: 500, body: "no" });
  expect((await run("redrive", "hook")).out).toBe("moved 0 dead letters back, 0 are left\n");
  expect((await run("purge", "hook")).code).toBe(2);
  expect((await run("purge", "hook", "--yes")).out).toBe("finished 0 records of hook\n");
  expect((await run("delete", "hook")).code).toBe(2);
  expect((await run("delete", "hook", "--yes")).out).toBe("deleted hook\n");
  const gone = await run("show", "hook");
  expect([gone.code, gone.err]).toEqual([1, expect.stringContaining("webhook_not_found")]);
  expect((await run("create", "hook", "orders", receiver.url, "--order", "x")).code).toBe(2);
});
