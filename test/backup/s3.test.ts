// Goal: an object appears whole or not at all, and what is read is what was written. Method: Bun's
// own client against a store in memory that checks parts as S3 does.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { S3Server } from "../tools/backup/s3-server.ts";
import { Client } from "../tools/crash/client.ts";
import { ayder } from "../tools/process/ayder.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const MIB = 1024 * 1024;
const BIG = "s3://backups/nightly/big.ayder";

const HAS_IPV6 = Object.values(networkInterfaces())
  .flat()
  .some((one) => one?.address === "::1");
const directory = temporaryDirectory();
const s3 = new S3Server();
const env: Record<string, string> = { ...s3.environment(), AYDER_TOKEN: "dev" };
let server: Server;

const backup = (place: string) => ayder(["backup", "--url", server.url, place], { env });
const restore = (place: string, name: string) =>
  ayder(["restore", place, "--data-dir", join(directory.path, name)], { env });

beforeAll(async () => {
  server = await startServer({ dataDir: join(directory.path, "origin") });
  const client = new Client(server.url);
  await client.must("POST", "/broker/topics", '{"name":"t","partitions":2}');
  const value = Buffer.alloc(MIB, "x").toString();
  for (let i = 0; i < 40; i++) {
    await client.must(
      "POST",
      `/broker/topics/t/produce?partition=${i % 2}`,
      `${i}${value.slice(9)}`,
    );
  }
}, 300_000);
afterAll(async () => {
  await server.kill();
  await s3.stop();
  directory.remove();
});

test("a large backup goes up in parts, and comes down by ranges", async () => {
  expect(await backup(BIG)).toMatchObject({ code: 0, err: "" });
  const parts = s3.asked.filter((line) => line.includes("partNumber="));
  expect(parts.length).toBeGreaterThan(3);
  expect(s3.objects.get("backups/nightly/big.ayder")?.length).toBeGreaterThan(40 * MIB);
  expect(s3.openUploads).toBe(0);
  expect(await restore(BIG, "restored")).toMatchObject({ code: 0, err: "" });
  expect(s3.asked.filter((line) => line.startsWith("GET")).length).toBeGreaterThan(3);
  const restored = await startServer({ dataDir: join(directory.path, "restored") });
  const page = await new Client(restored.url).must(
    "GET",
    "/broker/consume/t/g/1?offset=19&limit=1",
  );
  expect(String((page["messages"] as { value: string }[])[0]?.value).slice(0, 3)).toBe("39x");
  await restored.kill();
}, 300_000);

test("an object that is there is not overwritten", async () => {
  const before = s3.objects.get("backups/nightly/big.ayder");
  const { code, err } = await backup(BIG);
  expect({ code, err }).toEqual({ code: 1, err: `ayder: ${BIG} exists, and is not overwritten\n` });
  expect(s3.objects.get("backups/nightly/big.ayder")).toBe(before);
});

test("a store that fails for a moment is asked again", async () => {
  s3.failing = { line: "partNumber=2", times: 1 };
  expect(await backup("s3://backups/retried")).toMatchObject({ code: 0, err: "" });
  expect(s3.failing.times).toBe(0);
}, 300_000);

test("a store that goes on failing gets no object, and the command says so", async () => {
  s3.failing = { line: "partNumber=3", times: 1000 };
  const { code, err } = await backup("s3://backups/failed");
  expect(code).toBe(3);
  expect(err).toContain("s3://backups/failed");
  expect(s3.objects.has("backups/failed")).toBe(false);
  s3.failing = { line: "", times: 0 };
}, 300_000);

test("a server that dies in the middle leaves no object, and no parts", async () => {
  const bytes = s3.objects.get("backups/nightly/big.ayder") ?? Buffer.alloc(0);
  const cutting = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => {
      const pieces = [bytes.subarray(0, 20 * MIB), null];
      const body = new ReadableStream({
        pull: (controller) => {
          const piece = pieces.shift();
          if (piece instanceof Buffer) controller.enqueue(new Uint8Array(piece));
          else controller.close();
        },
      });
      return new Response(body, { headers: { "ayder-backup-bytes": String(bytes.length) } });
    },
  });
  const url = `http://127.0.0.1:${cutting.port}`;
  const { code, err } = await ayder(["backup", "--url", url, "s3://backups/cut"], { env });
  expect(code).toBe(1);
  expect(err).toContain("the file ends early");
  expect(s3.objects.has("backups/cut")).toBe(false);
  expect(s3.openUploads).toBe(0);
  await cutting.stop(true);
}, 300_000);

test("a node whose own files are damaged gives no backup, and its log says where", async () => {
  const damaged = join(directory.path, "damaged");
  cpSync(join(directory.path, "restored"), damaged, { recursive: true });
  const segment = "shards/0/partitions@1/1-0/00000000000000000000.seg";
  const bytes = readFileSync(join(damaged, segment));
  bytes[12 * MIB] = (bytes[12 * MIB] ?? 0) ^ 4;
  writeFileSync(join(damaged, segment), bytes);
  const node = await startServer({ dataDir: damaged });
  const file = join(directory.path, "damaged.ayder");
  const { code, err } = await ayder(["backup", "--url", node.url, file]);
  expect(code).toBe(3);
  expect(err).toContain("cut the backup off");
  expect(readdirSync(directory.path).filter((name) => name.startsWith("damaged."))).toEqual([]);
  expect(node.log()).toContain(segment);
  await node.kill();
}, 60_000);

test("what cannot be had is named, with code 3", async () => {
  const { code, err } = await restore("s3://backups/absent", "absent");
  expect(code).toBe(3);
  expect(err).toContain("s3://backups/absent");
  const wrong = await ayder(["backup", "--url", server.url, "gs://backups/x"], { env });
  expect(wrong.code).toBe(2);
  expect(wrong.err).toContain("neither a file nor s3://bucket/name");
});

test("a store on this machine is reached without a proxy, others as NO_PROXY says", async () => {
  const asked: string[] = [];
  const proxy = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      asked.push(new URL(request.url).host);
      return new Response("from the proxy", { status: 502 });
    },
  });
  const address = `127.0.0.1:${proxy.port}`;
  const run = (place: string, variables: Record<string, string>) =>
    ayder(["backup", "--url", server.url, place], { env: { ...env, ...variables } });
  try {
    const proxied = { HTTP_PROXY: `http://${address}` };
    expect(await run("s3://backups/direct", proxied)).toMatchObject({ code: 0, err: "" });
    expect(s3.objects.has("backups/direct")).toBe(true);
    const args = ["restore", "s3://backups/none", "--data-dir", join(directory.path, "none")];
    const port = new URL(s3.environment()["S3_ENDPOINT"] ?? "").port;
    for (const variables of [
      { http_proxy: `http://${address}` },
      { ALL_PROXY: `http://${address}` },
      { ...proxied, NO_PROXY: "far.example" },
      { ...proxied, no_proxy: "far.example", NO_PROXY: "x" },
      { ...proxied, S3_ENDPOINT: `http://localhost:${port}` },
    ]) {
      const before = s3.asked.length;
      const { code, err } = await ayder(args, { env: { ...env, ...variables } });
      expect([code, err]).toEqual([3, expect.not.stringContaining("through the proxy")]);
      expect(s3.asked.length).toBeGreaterThan(before);
    }
    if (HAS_IPV6) {
      const six = new S3Server("::1");
      await ayder(args, { env: { ...env, ...six.environment(), ...proxied } });
      expect(six.asked.length).toBeGreaterThan(0);
      await six.stop();
    }
    expect(asked).toEqual([]);

    const { S3_ENDPOINT: _, ...keys } = env;
    const far = { ...keys, HTTP_PROXY: `http://me:secret@${address}` };
    const endpoint = "http://store.far.invalid:9";
    const through = ` through the proxy http://${address} (HTTP_PROXY): `;
    const failed = await run("s3://backups/far", { ...far, S3_ENDPOINT: endpoint });
    expect(failed.code).toBe(3);
    expect(failed.err).toContain(`s3://backups/far${through}`);
    expect(failed.err).not.toContain("secret");
    expect(new Set(asked)).toEqual(new Set(["store.far.invalid:9"]));
    for (const [variables, isProxied] of [
      [{ S3_ENDPOINT: endpoint }, true],
      [{ AWS_ENDPOINT: endpoint }, true],
      [{ S3_ENDPOINT: endpoint, NO_PROXY: "x,.far.invalid" }, false],
      [{ S3_ENDPOINT: endpoint, no_proxy: ".far.invalid", NO_PROXY: "x" }, false],
      [{ S3_ENDPOINT: endpoint, no_proxy: "x", NO_PROXY: ".far.invalid" }, true],
    ] as const) {
      const before = asked.length;
      const { code, err } = await ayder(args, { env: { ...far, ...variables } });
      expect(code).toBe(3);
      expect([variables, err.includes(through)]).toEqual([variables, isProxied]);
      expect(asked.length > before).toBe(isProxied);
    }
  } finally {
    await proxy.stop(true);
  }
}, 300_000);
