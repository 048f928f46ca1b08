/** Helpers of teams of clients: they ask until it is done, and read a topic in the end. */
import type { Node } from "../../../src/node/node.ts";
import { RecordCursor } from "../../../src/record/batch-reader.ts";
import { decodeHeaders } from "../../../src/record/headers.ts";
import type { SimClient } from "./client.ts";

const RETRY_MS = 40;
const PAGE_BYTES = 1 << 24;

type Outcome = { readonly ok: boolean };
export type Done<T extends Outcome> = Extract<T, { readonly ok: true }>;

/** One attempt at any node. @returns null if it was not done, as far as is known. */
export async function once<T extends Outcome>(
  client: SimClient,
  ask: (node: Node) => Promise<T>,
): Promise<Done<T> | null> {
  const reply = await client.call(client.pick(), ask);
  if (reply?.value.ok === true) return reply.value as Done<T>;
  client.forgetLeader();
  return null;
}

/** Asks again and again. @returns null if the run ended before. */
export async function until<T extends Outcome>(
  client: SimClient,
  isOver: () => boolean,
  ask: (node: Node) => Promise<T>,
): Promise<Done<T> | null> {
  while (!isOver()) {
    const done = await once(client, ask);
    if (done !== null) return done;
    await client.sleep(RETRY_MS);
  }
  return null;
}

/** The same for what must be done. @throws Error if the run ended before. */
export async function insist<T extends Outcome>(
  client: SimClient,
  isOver: () => boolean,
  ask: (node: Node) => Promise<T>,
): Promise<Done<T>> {
  const done = await until(client, isOver, ask);
  if (done === null) throw new Error("the run ended");
  return done;
}

export type StoredRow = {
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly value: string;
  readonly timestamp: number;
  readonly headers: Readonly<Record<string, string>>;
};

/** All records of a topic; none if it does not exist. */
export async function rowsOf(
  node: Node,
  topic: string,
  partitions: number,
): Promise<readonly StoredRow[]> {
  const rows: StoredRow[] = [];
  const decoder = new TextDecoder();
  for (let partition = 0; partition < partitions; partition++) {
    const at = { topic, partition, group: "judge", offset: 0, linearizable: false };
    const page = await node.consume({ ...at, limit: 1_000_000, maxBytes: PAGE_BYTES });
    if (!page.ok) continue;
    for (const slice of page.slices) {
      const cursor = new RecordCursor(slice);
      while (cursor.next()) {
        const { bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor;
        const headers = decodeHeaders(bytes, cursor.headersStart, cursor.headersEnd);
        rows.push({
          ...{ partition, offset: cursor.offset },
          key: keyStart < 0 ? "" : decoder.decode(bytes.subarray(keyStart, keyEnd)),
          value: decoder.decode(bytes.subarray(valueStart, valueEnd)),
          timestamp: cursor.timestampMs,
          headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
        });
      }
    }
  }
  return rows;
}
