/** The loads that `ayder bench` can generate. */
import { AyderError, type Client } from "../client/index.ts";

export type LoadOptions = {
  /** Name of the topic or namespace of this run; nobody else uses it. */
  readonly name: string;
  readonly bytes: number;
  readonly batch: number;
  readonly partitions: number;
};

export type Load = {
  /** Number of messages or keys per request. */
  readonly perRequest: number;
  /** @param worker number of the caller, from 0. @returns the number of messages of the request. */
  request(worker: number): Promise<number>;
  /** Deletes the topic or namespace of this run. */
  close(): Promise<void>;
};

type Mode = {
  readonly summary: string;
  open(client: Client, options: LoadOptions): Promise<Load>;
};

const ONCE = { retryMs: 0 } as const;
const KV_KEYS = 1000;
const CONSUME_MESSAGES = 10_000;
const CONSUME_BYTES = 8 * 1024 * 1024;

export const BENCH_MODES: Readonly<Record<string, Mode>> = {
  produce: { summary: "one message per request, sealed (default)", open: openProduce },
  batch: { summary: "--batch messages per request, sealed", open: openBatch },
  consume: { summary: "read pages of --batch messages", open: openConsume },
  kv: { summary: "alternating puts and gets of 1000 keys", open: openKv },
};

async function withTopic(
  client: Client,
  options: LoadOptions,
  load: Omit<Load, "close">,
): Promise<Load> {
  const { name, partitions } = options;
  await client.topics.create(name, { partitions });
  return { ...load, close: () => client.topics.delete(name) };
}

function openProduce(client: Client, options: LoadOptions): Promise<Load> {
  const value = "x".repeat(options.bytes);
  return withTopic(client, options, {
    perRequest: 1,
    async request() {
      await client.produce(options.name, value, { ...ONCE, idempotencyKey: null });
      return 1;
    },
  });
}

function openBatch(client: Client, options: LoadOptions): Promise<Load> {
  const { name, batch, bytes } = options;
  const values = Array.from({ length: batch }, () => "x".repeat(bytes));
  return withTopic(client, options, {
    perRequest: batch,
    async request() {
      await client.produceBatch(name, values, { ...ONCE, idempotencyKey: null });
      return batch;
    },
  });
}

async function openConsume(client: Client, options: LoadOptions): Promise<Load> {
  const { name, bytes, batch, partitions } = options;
  const limit = Math.min(batch, 1000);
  const count = Math.max(limit, Math.min(CONSUME_MESSAGES, Math.floor(CONSUME_BYTES / bytes)));
  const chunk = Array.from({ length: limit }, () => "x".repeat(bytes));
  let next = 0;
  const load = await withTopic(client, options, {
    perRequest: limit,
    async request(worker) {
      const partition = worker % partitions;
      next = (next + limit) % (count - limit + 1);
      const page = await client.read(name, partition, { ...ONCE, offset: next, limit });
      return page.count;
    },
  });
  for (let partition = 0; partition < partitions; partition++) {
    for (let written = 0; written < count; written += limit) {
      await client.produceBatch(name, chunk, { partition });
    }
  }
  return load;
}

function openKv(client: Client, { name, bytes }: LoadOptions): Promise<Load> {
  const kv = client.kv(name);
  const value = "x".repeat(bytes);
  let turn = 0;
  return Promise.resolve({
    perRequest: 1,
    async request() {
      const key = `key-${(turn >> 1) % KV_KEYS}`;
      if (turn++ % 2 === 0) await kv.put(key, value, ONCE);
      else await kv.get(key, ONCE);
      return 1;
    },
    async close() {
      try {
        await client.deleteNamespace(name);
      } catch (error) {
        if (!(error instanceof AyderError)) throw error;
        // The token is not for administration, or the server is of an earlier version.
        for await (const { key } of kv.list()) await kv.delete(key);
      }
    },
  });
}
