/** Questions about queues that several parts of the suite ask. */
import { expect } from "bun:test";
import { type Answer, type Client, freshName, type Json, messagesOf } from "./target.ts";

export const DEFAULTS = {
  visibility_ms: 30_000,
  max_deliveries: 5,
  backoff_ms: [1_000, 10_000, 60_000],
  order: "none",
  max_in_flight: 1_000,
  from: "earliest",
};
/** Counts of a queue without anything. */
export const NOTHING = {
  ready: 0,
  in_flight: 0,
  delayed: 0,
  dead: 0,
  acked: 0,
  purged: 0,
  redriven: 0,
  lost_to_retention: 0,
};

export const receiptsOf = ({ body }: Answer): string[] =>
  messagesOf(body).map(({ receipt }) => receipt as string);
export const valuesOf = ({ body }: Answer): unknown[] => messagesOf(body).map(({ value }) => value);

export class Queues {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  put(queue: string, body: Json): Promise<Answer> {
    return this.#client.ask(`PUT /broker/queues/${queue}`, { body });
  }

  receive(queue: string, query = "max=100"): Promise<Answer> {
    return this.#client.ask(`POST /broker/queues/${queue}/receive?${query}`);
  }

  send(queue: string, verb: string, body: Json): Promise<Answer> {
    return this.#client.ask(`POST /broker/queues/${queue}/${verb}`, { body });
  }

  async describe(queue: string): Promise<Json> {
    return (await this.#client.ask(`GET /broker/queues/${queue}`)).body;
  }

  /** A topic of one partition with records, and a queue over it. */
  async make(
    values: readonly string[],
    definition: Json = {},
  ): Promise<{ topic: string; queue: string }> {
    const topic = await this.#client.topic("jobs", 1);
    const queue = freshName("work");
    const created = await this.put(queue, { topic, ...definition });
    expect(created.body).toEqual({ ok: true, queue, created: true });
    for (const value of values) await this.#client.produce(topic, value);
    return { topic, queue };
  }
}
