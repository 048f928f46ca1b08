/** A small archive of a real server that has something of everything. */
import { afterAll, beforeAll } from "bun:test";
import { openNewRoot } from "../../../src/env/directories.ts";
import type { NodeId } from "../../../src/lib/ids.ts";
import { type Restored, restoreBackup } from "../../../src/offline/restore.ts";
import { Client } from "../crash/client.ts";
import { startServer, temporaryDirectory } from "../process/server.ts";

export const SMALL_FILES = {
  RF_JOURNAL_SEGMENT_BYTES: String(256 * 1024),
  RF_SEGMENT_BYTES: String(64 * 1024),
  RF_CHECKPOINT_BYTES: String(512 * 1024),
  RF_LOG_LEVEL: "warn",
};

export async function download(url: string): Promise<Uint8Array> {
  const response = await fetch(`${url}/admin/backup`, { headers: { authorization: "Bearer dev" } });
  if (response.status !== 200) throw new Error(`backup: ${response.status}`);
  return await response.bytes();
}

/** Topics with several segments, groups, idempotency keys, keys, a view, policies. */
export async function fill(client: Client): Promise<void> {
  await client.must("POST", "/broker/topics", '{"name":"t","partitions":3}');
  const line = `{"g":"a","x":1,"text":"${"y".repeat(400)}"}`;
  for (let i = 0; i < 12; i++) {
    const lines = Array.from({ length: 60 }, () => line).join("\n");
    await client.must("POST", `/broker/topics/t/produce-ndjson?partition=${i % 3}`, lines);
    await client.must(
      "POST",
      `/broker/topics/t/produce?partition=0&idempotency_key=k${i}`,
      `v${i}`,
    );
    await client.must("POST", `/kv/ns/key${i}`, `value${i}`);
  }
  const place = '"topic":"t","partition":1';
  await client.must("POST", "/broker/commit", `{${place},"group":"g","offset":7}`);
  await client.must("POST", "/broker/delete-before", `{${place},"before_offset":5}`);
  await client.must("POST", "/broker/retention", '{"topic":"t","max_bytes":100000000}');
  const measures = '[{"op":"count"},{"op":"sum","field":"x","as":"s"}]';
  const query = `{"source":{"topic":"t"},"aggregate":{"group_by":["g"],"measures":${measures}}}`;
  await client.must("PUT", "/broker/views/by-g", query);
}

/** Made once before the tests of a file. */
export function sampleArchive(): () => Uint8Array {
  const directory = temporaryDirectory();
  let archive: Uint8Array = new Uint8Array(0);
  beforeAll(async () => {
    const server = await startServer({ dataDir: directory.path, env: SMALL_FILES });
    await fill(new Client(server.url));
    archive = await download(server.url);
    await server.stop();
  });
  afterAll(directory.remove);
  return () => archive;
}

export const sourceOf = (bytes: Uint8Array) => ({
  read: async (position: number, length: number) => bytes.subarray(position, position + length),
});

/** As `ayder restore` does it. */
/** @param userOf the process that uses the directory, asked before and after it is marked. */
export async function restoreTo(
  path: string,
  bytes: Uint8Array,
  userOf: () => number | null = () => null,
): Promise<Restored> {
  const root = openNewRoot(path);
  try {
    return await restoreBackup({
      disk: root.disk,
      source: sourceOf(bytes),
      archive: "the archive",
      nodeId: "node1" as NodeId,
      identity: { clusterId: crypto.randomUUID(), storageId: crypto.randomUUID() },
      userOf,
      nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
      received: () => undefined,
    });
  } catch (error) {
    await root.discard();
    throw error;
  }
}
