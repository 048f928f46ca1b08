/** Webhooks: the server delivers the records of a topic to a URL. */
import type {
  Deliveries,
  PurgedWebhook,
  SecretRotated,
  WebhookDescribed,
  WebhookList,
  WebhookPaused,
  WebhookPut,
  WebhookTested,
} from "../api/webhooks.ts";
import { parseExact, stringifyExact } from "./json-values.ts";
import { type Redriven, type RedriveOptions, redrive } from "./queues.ts";
import { fields, flag, integer, list, optional, text } from "./shape.ts";
import { ACCEPTED } from "./shapes.ts";
import type { Filter } from "./stream-types.ts";
import type { CallOptions, Request, Transport } from "./transport.ts";
import { segment } from "./url.ts";
import { camel } from "./values.ts";

const PUT = fields<WebhookPut>({ created: flag, secret: optional(text) });
const LIST = fields<WebhookList>({
  webhooks: list(fields<WebhookList["webhooks"][number]>({ webhook: text })),
});
const DESCRIBED = fields<WebhookDescribed>({ webhook: text, topic: text, url: text });
const PAUSED = fields<WebhookPaused>({ paused: flag, changed: flag });
const ROTATED = fields<SecretRotated>({ secret: text, previous_secret_until_ms: integer });
const DELIVERY = fields<Deliveries["deliveries"][number]>({
  webhook_id: text,
  outcome: text as never,
});
const PURGED = fields<PurgedWebhook>({ purged: integer });
const TESTED = fields<WebhookTested>({ delivery: DELIVERY });
const DELIVERIES = fields<Deliveries>({ deliveries: list(DELIVERY) });

export type WebhookDefinition = {
  readonly topic: string;
  readonly url: string;
  /** All conditions must hold; as in queries. */
  readonly filter?: readonly Filter[] | undefined;
  /** @default raw */
  readonly format?: "raw" | "cloudevents" | undefined;
  /** @default none */
  readonly order?: "partition" | "key" | "none" | undefined;
  /** @default 16 */
  readonly maxInFlight?: number | undefined;
  /** @default 15_000 */
  readonly timeoutMs?: number | undefined;
  /** @default 10 */
  readonly maxDeliveries?: number | undefined;
  readonly backoffMs?: readonly number[] | undefined;
  /** Null: records that keep failing are dropped. @default `{webhook}.dead` */
  readonly deadLetter?: string | null | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** @default earliest */
  readonly from?: "earliest" | "latest" | undefined;
};

export type WebhookSummary = {
  readonly webhook: string;
  readonly topic: string;
  readonly url: string;
  readonly filter?: readonly Filter[];
  readonly format: "raw" | "cloudevents";
  readonly order: "partition" | "key" | "none";
  readonly maxInFlight: number;
  readonly timeoutMs: number;
  readonly maxDeliveries: number;
  readonly backoffMs: readonly number[];
  readonly deadLetter: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly from: "earliest" | "latest";
  readonly createdAtMs: number;
  readonly secretCreatedAtMs: number;
  readonly previousSecretUntilMs: number | null;
  readonly paused: boolean;
  readonly pausedAtMs: number | null;
  readonly pausedReason: "requested" | "gone" | null;
  readonly ready: number;
  readonly inFlight: number;
  readonly delayed: number;
  readonly dead: number;
  readonly delivered: number;
  readonly filtered: number;
  readonly purged: number;
  readonly redriven: number;
  readonly lostToRetention: number;
  readonly oldestAgeMs: number;
};

/** One request to a receiver. */
export type WebhookDelivery = {
  readonly webhookId: string;
  readonly test: boolean;
  readonly partition: number | null;
  readonly offset: number | null;
  readonly attempt: number | null;
  readonly atMs: number;
  readonly durationMs: number;
  /** Null: there was no answer. */
  readonly status: number | null;
  readonly body: string;
  readonly error: string | null;
  readonly outcome: "delivered" | "retry" | "dead" | "paused";
};

export class Webhooks {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @returns the secret of a new webhook: it is told only this time. */
  async put(
    name: string,
    definition: WebhookDefinition,
    options: CallOptions = {},
  ): Promise<{ readonly created: boolean; readonly secret: string | null }> {
    const body = {
      topic: definition.topic,
      url: definition.url,
      filter: definition.filter,
      format: definition.format,
      order: definition.order,
      max_in_flight: definition.maxInFlight,
      timeout_ms: definition.timeoutMs,
      max_deliveries: definition.maxDeliveries,
      backoff_ms: definition.backoffMs,
      dead_letter: definition.deadLetter,
      headers: definition.headers,
      from: definition.from,
    };
    const request = {
      method: "PUT",
      path: pathOf(name),
      body: stringifyExact(body) ?? "{}",
    } as const;
    // A repetition would not tell the secret.
    const { created, secret = null } = await this.#transport.json({ ...request, ...options }, PUT);
    return { created, secret };
  }

  async list(options: CallOptions = {}): Promise<readonly WebhookSummary[]> {
    const request = { method: "GET", path: "/broker/webhooks", ...options } as const;
    const { webhooks } = await this.#transport.json(request, LIST, parseExact);
    return webhooks.map(summaryOf);
  }

  async get(name: string, options: CallOptions = {}): Promise<WebhookSummary> {
    const request = { method: "GET", path: pathOf(name), ...options } as const;
    return summaryOf(await this.#transport.json(request, DESCRIBED, parseExact));
  }

  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json({ method: "DELETE", path: pathOf(name), ...options }, ACCEPTED);
  }

  /** @returns false if it was paused already. */
  async pause(name: string, options: CallOptions = {}): Promise<boolean> {
    const request = { ...post(name, "pause"), ...options, repeatable: true };
    return (await this.#transport.json(request, PAUSED)).changed;
  }

  /** @returns false if it was not paused. */
  async resume(name: string, options: CallOptions = {}): Promise<boolean> {
    const request = { ...post(name, "resume"), ...options, repeatable: true };
    return (await this.#transport.json(request, PAUSED)).changed;
  }

  /** Makes a new secret. The former one signs too for a day. */
  async rotate(
    name: string,
    options: CallOptions = {},
  ): Promise<{ readonly secret: string; readonly previousSecretUntilMs: number }> {
    const answer = await this.#transport.json({ ...post(name, "rotate"), ...options }, ROTATED);
    return { secret: answer.secret, previousSecretUntilMs: answer.previous_secret_until_ms };
  }

  /** Sends a message without a record to the receiver. */
  async test(name: string, options: CallOptions = {}): Promise<WebhookDelivery> {
    const answer = await this.#transport.json({ ...post(name, "test"), ...options }, TESTED);
    return camel(answer.delivery);
  }

  /** Moves dead letters back into the topic. */
  redrive(name: string, options: RedriveOptions = {}): Promise<Redriven> {
    return redrive(this.#transport, `${pathOf(name)}/redrive`, options);
  }

  /** Finishes all present records without delivering them. @returns their number. */
  async purge(name: string, options: CallOptions = {}): Promise<number> {
    const answer = await this.#transport.json({ ...post(name, "purge"), ...options }, PURGED);
    return answer.purged;
  }

  /**
   * The last requests to the receiver, the newest first.
   *
   * @param options `status`: `ok`, `failed`, `none`, a status such as `503`, or `5xx`.
   */
  async deliveries(
    name: string,
    options: CallOptions & {
      readonly status?: string | undefined;
      readonly limit?: number | undefined;
    } = {},
  ): Promise<readonly WebhookDelivery[]> {
    const { status, limit, ...rest } = options;
    const path = `${pathOf(name)}/deliveries`;
    const request = { method: "GET", path, query: { status, limit }, ...rest } as const;
    const { deliveries } = await this.#transport.json(request, DELIVERIES);
    return deliveries.map((each) => camel(each));
  }
}

const pathOf = (name: string): string => `/broker/webhooks/${segment(name)}`;
const post = (name: string, verb: string): Request => ({
  method: "POST",
  path: `${pathOf(name)}/${verb}`,
  body: "{}",
});

/** Names of headers and fields of conditions stay as they are. */
function summaryOf(wire: WebhookList["webhooks"][number]): WebhookSummary {
  const { headers, filter, ...others } = wire;
  const kept = filter === undefined ? { headers } : { headers, filter };
  return { ...camel(others), ...kept } as WebhookSummary;
}
