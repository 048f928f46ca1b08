/**
 * Checks of what a server with Ayder's API answers, for Ayder and for the C original alike, so that no
 * table shows the rate of wrong answers.
 */
import { BIG, PARTITIONS, pagePath, placesOf, producePath, TOPIC } from "./cases.ts";
import { fillPartitions } from "./fill.ts";
import { MESSAGE, NDJSON_100 } from "./requests.ts";

const HEADERS = { authorization: "Bearer dev" };
/** Requests of 100 lines that fill each partition before the measurement. */
const FILL_REQUESTS = 20;

type Page = {
  readonly count: number;
  readonly messages: readonly { readonly offset: number; readonly value_b64: string }[];
};
type Place = { readonly partition: number; readonly offset: number };

export class AyderApi {
  readonly #port: number;

  /** @param port of a server on this machine. */
  constructor(port: number) {
    this.#port = port;
  }

  async #ask(method: string, path: string, body?: string): Promise<Record<string, unknown>> {
    const init = body === undefined ? { method } : { method, body };
    const url = `http://127.0.0.1:${this.#port}${path}`;
    const answer = await fetch(url, { ...init, headers: HEADERS });
    const text = await answer.text();
    const object = answer.ok ? (JSON.parse(text) as Record<string, unknown>) : {};
    if (!answer.ok || object["ok"] === false) throw new Error(`${method} ${path}: ${text}`);
    return object;
  }

  /** Creates the topic `bench` with 2,000 messages in each partition, and the keys `key-0` to `key-7`. */
  async fill(): Promise<void> {
    const topic = JSON.stringify({ name: TOPIC, partitions: PARTITIONS });
    await this.#ask("POST", "/broker/topics", topic);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      await this.#ask("POST", `/kv/bench/key-${partition}`, MESSAGE);
      const path = producePath("produce-ndjson", partition);
      for (let n = 0; n < FILL_REQUESTS; n++) await this.#ask("POST", path, NDJSON_100);
    }
  }

  /** Creates the topic of the pages at random offsets. Each value has its offset in it. */
  async fillBig(): Promise<void> {
    await fillPartitions(this.#port, PARTITIONS, BIG.messages, { lines: 100, silent: true });
  }

  /**
   * Compares every message of a page with what was stored there.
   * @returns how many messages it has. The C original cuts pages at the size of its buffer.
   */
  async page(
    topic: string,
    { partition, offset }: Place,
    limit: number,
    valueAt: (offset: number) => string,
  ): Promise<number> {
    const path = pagePath(topic, partition, offset, limit);
    const { count, messages } = (await this.#ask("GET", path)) as unknown as Page;
    const areRight = messages.every(
      (message, at) =>
        message.offset === offset + at && atob(message.value_b64) === valueAt(offset + at),
    );
    if (count === 0 || count > limit || messages.length !== count || !areRight)
      throw new Error(`${path}: not the messages that were stored`);
    return count;
  }

  /** @returns the mean number of messages of the first pages, all of which are checked. */
  async firstPages(limit: number): Promise<number> {
    const places = Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, offset: 0 }));
    return await this.#mean(TOPIC, places, limit, () => MESSAGE);
  }

  /** @returns the mean number of messages of the pages at random offsets, all of which are checked. */
  async randomPages(limit: number): Promise<number> {
    return await this.#mean(BIG.topic, placesOf(limit), limit, BIG.valueAt);
  }

  async #mean(
    topic: string,
    places: readonly Place[],
    limit: number,
    valueAt: (offset: number) => string,
  ): Promise<number> {
    let messages = 0;
    for (const place of places) messages += await this.page(topic, place, limit, valueAt);
    return messages / places.length;
  }

  /**
   * Stores one more message in each partition, and checks the newest ones.
   * @returns how many messages the topic has then.
   */
  async stored(): Promise<number> {
    let sum = 0;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const answer = await this.#ask("POST", producePath("produce", partition), MESSAGE);
      const end = Number(answer["offset"]) + 1;
      const offset = Math.max(0, end - 100);
      const count = await this.page(TOPIC, { partition, offset }, 100, () => MESSAGE);
      if (count !== end - offset) throw new Error(`partition ${partition} ends before ${end}`);
      sum += end;
    }
    return sum;
  }

  /** Throws unless a produce with this query is answered as synced. */
  async synced(query: string): Promise<void> {
    const path = producePath("produce", 0, query);
    const answer = await this.#ask("POST", path, MESSAGE);
    if (answer["synced"] !== true || answer["durable"] !== true)
      throw new Error(`${path}: not synced: ${JSON.stringify(answer)}`);
  }

  async keys(): Promise<void> {
    for (let key = 0; key < PARTITIONS; key++) {
      const path = `/kv/bench/key-${key}`;
      const { value } = await this.#ask("GET", path);
      if (typeof value !== "string" || atob(value) !== MESSAGE)
        throw new Error(`${path}: not the value that was put`);
    }
  }
}

/** Throws unless as many messages were stored as the load has been acknowledged. */
export async function provenStored<T extends { readonly answered: number }>(
  api: AyderApi,
  messages: number,
  connections: number,
  run: () => Promise<T>,
): Promise<T> {
  const before = await api.stored();
  const result = await run();
  const grown = (await api.stored()) - before - PARTITIONS;
  // At the end of the warm-up and of the run, each connection may have a request without an answer.
  proveStored("topic bench", grown, result.answered * messages, 2 * connections * messages);
  return result;
}

/** @param open messages that may have been stored without an answer. */
export function proveStored(what: string, grown: number, acknowledged: number, open: number): void {
  if (grown >= acknowledged && grown <= acknowledged + open) return;
  throw new Error(`${what}: ${acknowledged} messages were acknowledged, ${grown} are stored`);
}
