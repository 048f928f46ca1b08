/** A data directory that has something of everything, and what a server says about it. */
import { fill } from "../backup/sample.ts";
import type { Client } from "../crash/client.ts";

type Json = Record<string, unknown>;
export type Facts = Readonly<Record<string, unknown>>;

const TOPIC = "t";
const PARTITIONS = 3;
const KEYS = 12;
const PLACE = `"topic":"${TOPIC}","partition":1`;

/** Everything that `fill` writes, and what changed between versions or may change. */
export async function write(client: Client): Promise<void> {
  await fill(client);
  await change(client);
}

/** Takes a checkpoint, and writes what is in the journal only. */
export async function change(client: Client): Promise<void> {
  await client.must("POST", "/admin/compact");
  await client.must("POST", "/broker/topics", '{"name":"deleted","partitions":1}');
  await client.must("POST", "/broker/topics/deleted/produce?partition=0", "gone");
  await client.must("DELETE", "/broker/topics/deleted");
  await client.must("POST", `/broker/topics/${TOPIC}/produce?partition=2&key=a%20key`, "keyed");
  await client.must("POST", "/broker/commit", `{${PLACE},"group":"other","offset":9}`);
  await client.must("POST", "/kv/ns/deleted", "value");
  await client.must("DELETE", "/kv/ns/deleted");
  await client.must("POST", "/kv/ns/key0", "again");
}

/** The facts that a client of any version can read. */
export async function read(client: Client): Promise<Facts> {
  const topics = await client.must("GET", "/broker/topics");
  const partitions: unknown[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    partitions.push(await recordsOf(client, partition));
  }
  const keys: unknown[] = [];
  for (let i = 0; i < KEYS; i++) keys.push(await client.must("GET", `/kv/ns/key${i}`));
  return {
    topics: topics["topics"],
    partitions,
    keys,
    deleted: (await client.send("GET", "/kv/ns/deleted"))?.status,
    // Without an offset, a group goes on where it committed.
    groups: await Promise.all(
      ["g", "other", "new"].map(async (group) => {
        const page = await client.must("GET", `/broker/consume/${TOPIC}/${group}/1?limit=1`);
        return [group, (page["messages"] as Json[]).map(recordOf)];
      }),
    ),
    view: await client.must("GET", "/broker/views/by-g"),
  };
}

/** The fields that every version has; a long value stands as its length and checksum. */
function recordOf({ offset, timestamp_ms, key, value }: Json): unknown {
  const text = String(value);
  const shown = text.length < 64 ? text : `${text.length} characters, crc ${Bun.hash.crc32(text)}`;
  return { offset, timestamp_ms, ...(key === undefined ? {} : { key }), value: shown };
}

async function recordsOf(client: Client, partition: number): Promise<unknown> {
  const records: unknown[] = [];
  for (let offset = 0; ; ) {
    const path = `/broker/consume/${TOPIC}/golden/${partition}?offset=${offset}&limit=1000`;
    const page = await client.must("GET", path);
    const messages = page["messages"] as Json[];
    if (messages.length === 0) break;
    records.push(...messages.map(recordOf));
    offset = page["next_offset"] as number;
  }
  const crc = Bun.hash.crc32(JSON.stringify(records));
  return { count: records.length, first: records[0], last: records.at(-1), crc };
}
