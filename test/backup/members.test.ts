/** Members, their leases and owners, and committed offsets are the same after a backup and a restore. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { createClient } from "../../src/client/index.ts";
import { ayder } from "../tools/process/ayder.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const directory = temporaryDirectory();
const running: Server[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.kill();
});
afterAll(directory.remove);

async function start(name: string): Promise<Server> {
  const server = await startServer({ dataDir: join(directory.path, name) });
  running.push(server);
  return server;
}

async function ask({ url }: Server, method: string, path: string, body?: object) {
  const answer = await fetch(`${url}/broker/groups/g/${path}`, {
    method,
    headers: { authorization: "Bearer dev" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

type Owned = { topic: string; partition: number; generation: number; next_offset: number };
const commitOf = (positions: readonly Owned[]) => ({
  member: "m",
  offsets: positions.map(({ next_offset: offset, ...place }) => ({ ...place, offset })),
});

test("a member goes on after a restore where it was, in the generations that it had", async () => {
  const first = await start("data");
  const client = createClient({ url: first.url, token: "dev" });
  await client.topics.create("t", { partitions: 3 });
  for (let i = 0; i < 9; i++) await client.produce("t", `${i}`, { partition: i % 3 });
  const joined = { topics: ["t"], member: "m", lease_ms: 600_000 };
  expect((await ask(first, "POST", "join", joined)).status).toBe(200);
  await ask(first, "POST", "join", { ...joined, member: "other" });
  const page = (await ask(first, "GET", "messages?member=m&limit=4")).body;
  await ask(first, "POST", "commit", commitOf(page["positions"] as Owned[]));
  const before = await client.describeGroup("g");

  const archive = join(directory.path, "a.ayder");
  const restored = join(directory.path, "restored");
  for (const args of [
    ["backup", "--url", first.url, archive],
    ["verify", archive],
    ["restore", "--data-dir", restored, archive],
    ["verify", restored],
  ]) {
    expect(await ayder(args)).toMatchObject({ code: 0 });
  }
  const second = await start("restored");
  const after = await createClient({ url: second.url, token: "dev" }).describeGroup("g");
  const times = { lagSeconds: 0 };
  const shown = (group: typeof before) => group.partitions.map((each) => ({ ...each, ...times }));
  expect(after.members).toEqual(before.members);
  expect(shown(after)).toEqual(shown(before));

  const next = (await ask(second, "GET", "messages?member=m")).body;
  const seen = [page, next].flatMap((each) => each["messages"] as { value: string }[]);
  const own = before.partitions.filter(({ owner }) => owner === "m").map((each) => each.partition);
  const expected = Array.from({ length: 9 }, (_, i) => i).filter((i) => own.includes(i % 3));
  const values = new Set(seen.map(({ value }) => Number(value)));
  for (const value of expected) expect(values.has(value)).toBe(true);
  const committed = await ask(second, "POST", "commit", commitOf(next["positions"] as Owned[]));
  const results = committed.body["results"] as { ok: boolean }[];
  expect(results.every(({ ok }) => ok)).toBe(true);
});
