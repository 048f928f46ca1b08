/** Records with headers, and the numbers of producers, are the same after a kill and a restore. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
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

const headers = { authorization: "Bearer dev" };
const RECORDS = 300;

/** Every third record has headers, so that batches of both versions lie side by side. */
async function produce({ url }: Server): Promise<void> {
  for (let i = 0; i < RECORDS; i++) {
    const named: Record<string, string> = i % 3 === 0 ? { "ayder-header-n": String(i) } : {};
    const query = i % 3 === 0 ? "&header.text=%C3%BC" : "";
    const target = `${url}/broker/topics/t/produce?partition=0${query}`;
    const answer = await fetch(target, {
      method: "POST",
      headers: { ...headers, ...named },
      body: `v${i}`,
    });
    expect(answer.status).toBe(200);
  }
}

async function recordsOf({ url }: Server): Promise<unknown[]> {
  const page = await fetch(`${url}/broker/consume/t/g/0?offset=0&limit=1000`, { headers });
  const { messages } = (await page.json()) as { messages: Record<string, unknown>[] };
  return messages.map(({ value, headers: its }) => [value, its ?? null]);
}

const EXPECTED = Array.from({ length: RECORDS }, (_, i) => [
  `v${i}`,
  i % 3 === 0 ? { n: String(i), text: "ü" } : null,
]);
const succeeds = async (...args: string[]) => {
  const { code, err } = await ayder(args);
  expect({ args, code, err: code === 0 ? "" : err }).toEqual({ args, code: 0, err: "" });
};

test("records with headers survive a kill, a backup and a restore", async () => {
  const first = await start("data");
  await produce(first);
  expect(await recordsOf(first)).toEqual(EXPECTED);
  await first.kill();
  const second = await start("data");
  expect(await recordsOf(second)).toEqual(EXPECTED);

  const archive = join(directory.path, "a.ayder");
  await succeeds("backup", "--url", second.url, archive);
  await second.stop();
  await succeeds("verify", join(directory.path, "data"));
  await succeeds("verify", archive);
  await succeeds("restore", "--data-dir", join(directory.path, "restored"), archive);
  await succeeds("verify", join(directory.path, "restored"));
  const third = await start("restored");
  expect(await recordsOf(third)).toEqual(EXPECTED);
});

test("the numbers of a producer survive a kill, a backup and a restore", async () => {
  const write = async ({ url }: Server, seq: number) => {
    const target = `${url}/broker/topics/n/produce?partition=0&producer=p:3:${seq}`;
    const answer = await fetch(target, { method: "POST", headers, body: `v${seq}` });
    return { status: answer.status, body: await answer.json() };
  };
  const known = async (server: Server, last: number) => {
    expect(await write(server, last)).toMatchObject({
      status: 200,
      body: { duplicate: true, offset: last },
    });
    expect(await write(server, last + 2)).toMatchObject({
      status: 409,
      body: { error: "sequence_gap", expected_seq: last + 1 },
    });
    expect(await write(server, last + 1)).toMatchObject({
      status: 200,
      body: { duplicate: false, offset: last + 1 },
    });
  };
  const first = await start("numbered");
  expect(await write(first, 0)).toMatchObject({ status: 200 });
  await known(first, 0);
  await first.kill();
  const second = await start("numbered");
  await known(second, 1);
  const archive = join(directory.path, "numbered.ayder");
  await succeeds("backup", "--url", second.url, archive);
  await second.stop();
  await succeeds("verify", archive);
  await succeeds("restore", "--data-dir", join(directory.path, "numbered-again"), archive);
  await succeeds("verify", join(directory.path, "numbered-again"));
  await known(await start("numbered-again"), 2);
});
