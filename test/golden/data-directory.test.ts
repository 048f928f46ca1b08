/**
 * Goal: a data directory of each earlier release works. Method: what a server of that release wrote
 * before it was killed is opened by this version, read, written to, and opened again.
 */
import { afterAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { SMALL_FILES } from "../tools/backup/sample.ts";
import { Client } from "../tools/crash/client.ts";
import { unpack } from "../tools/golden/archive.ts";
import { type Facts, read } from "../tools/golden/facts.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

type Json = Record<string, unknown>;

const PLACE = import.meta.dir;
const VERSIONS = readdirSync(PLACE, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

const directory = temporaryDirectory();
afterAll(directory.remove);

/** A directory as that release left it. */
async function unpacked(version: string, name: string): Promise<string> {
  const path = join(directory.path, `${version}-${name}`);
  await unpack(join(PLACE, version, "data.tar.gz"), path);
  return path;
}

const start = (dataDir: string) => startServer({ dataDir, env: SMALL_FILES });

test("there is a directory of an earlier release", () => {
  expect(VERSIONS).toContain("0.1.0");
});

for (const version of VERSIONS) {
  test(`a data directory of ${version} has everything, takes writes, and keeps both`, async () => {
    const expected: Facts = await Bun.file(join(PLACE, version, "facts.json")).json();
    const dataDir = await unpacked(version, "served");
    const first = await start(dataDir);
    const client = new Client(first.url);
    expect(await read(client)).toMatchObject(expected);
    const before = await client.must("POST", "/broker/topics/t/produce?partition=2", "new");
    expect(before["offset"]).toBe(241);
    await client.must("POST", "/kv/ns/key1", "new");
    await client.must("POST", "/admin/compact");
    await first.kill();

    const second = await start(dataDir);
    const again = new Client(second.url);
    const partitions = expected["partitions"] as Json[];
    const facts = await read(again);
    expect((facts["partitions"] as Json[]).slice(0, 2)).toEqual(partitions.slice(0, 2));
    expect((facts["partitions"] as Json[])[2]).toMatchObject({
      count: 242,
      first: partitions[2]?.["first"],
      last: { offset: 241, value: "new" },
    });
    expect((facts["keys"] as Json[]).slice(2)).toMatchObject((expected["keys"] as Json[]).slice(2));
    expect((facts["keys"] as Json[])[1]).toMatchObject({ value: btoa("new"), cas: 15 });
    expect(await second.stop()).toBe(0);
  });

  test(`a data directory of ${version} gets queues and schedules, and keeps them`, async () => {
    const dataDir = await unpacked(version, "queued");
    const first = await start(dataDir);
    const client = new Client(first.url);
    const put = (path: string, body: Json) => client.must("PUT", path, JSON.stringify(body));
    await put("/broker/queues/q", { topic: "t", visibility_ms: 3_600_000 });
    const received = await client.must("POST", "/broker/queues/q/receive?max=3");
    const receipts = (received["messages"] as Json[]).map(({ receipt }) => receipt);
    expect(receipts).toHaveLength(3);
    const body = JSON.stringify({ receipts: receipts.slice(1) });
    await client.must("POST", "/broker/queues/q/ack", body);
    const later = "/broker/topics/t/produce?partition=0&delay_ms=3000000";
    expect(await client.must("POST", later, "later")).toMatchObject({ schedule_id: "delayed:9" });
    await put("/broker/schedules/s", { cron: "0 0 1 1 *", topic: "t", value: "x" });
    await first.kill();

    const second = await start(dataDir);
    const again = new Client(second.url);
    const queue = await again.must("GET", "/broker/queues/q");
    expect(queue).toMatchObject({ acked: 2, in_flight: 1, dead: 0 });
    const late = JSON.stringify({ receipts: receipts.slice(0, 1) });
    const acked = await again.must("POST", "/broker/queues/q/ack", late);
    expect(acked["results"]).toMatchObject([{ ok: true }]);
    const { schedules } = await again.must("GET", "/broker/schedules?topic=t");
    expect(schedules).toMatchObject([{ schedule: "s" }, { schedule_id: "delayed:9" }]);
    expect(await second.stop()).toBe(0);
  });

  test(`verify finds a data directory of ${version} intact`, async () => {
    const { code, out, err } = await ayder(["verify", await unpacked(version, "verified")]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain(": intact; 15 files");
  });
}
