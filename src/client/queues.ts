/** Queues: each message goes to one worker, until it is acknowledged. */
import type {
  Purged,
  QueueDescribed,
  QueueList,
  QueuePut,
  ReceivedMessages,
  RedrivenAnswer,
  RedriveStopped,
  SettledMessages,
} from "../api/queues.ts";
import { AyderError } from "./errors.ts";
import type { QueueDescription, QueueSummary, Settlement } from "./queue-types.ts";
import { fields, flag, integer, list, optional, record, text } from "./shape.ts";
import { ACCEPTED } from "./shapes.ts";
import type { CallOptions, Transport } from "./transport.ts";
import { segment } from "./url.ts";
import { camel, Message, type MessageFields, messageOf, type WireMessage } from "./values.ts";

const PUT = fields<QueuePut>({ created: flag });
const LIST = fields<QueueList>({
  queues: list(fields<QueueList["queues"][number]>({ queue: text })),
});
const DESCRIBED = fields<QueueDescribed>({ queue: text, topic: text, ready: integer });
const RECEIVED = fields<ReceivedMessages>({
  messages: list(
    fields<ReceivedMessages["messages"][number]>({
      topic: text,
      partition: integer,
      offset: integer,
      timestamp_ms: integer,
      key: optional(text),
      key_b64: optional(text),
      value: optional(text),
      value_b64: optional(text),
      headers: optional(record(text)),
      attempt: integer,
      receipt: text,
      visible_at_ms: integer,
    }),
  ),
});
const SETTLED = fields<SettledMessages>({
  results: list(fields<SettledMessages["results"][number]>({ receipt: text, ok: flag })),
});
const REDRIVEN = fields<RedrivenAnswer>({ moved: integer, remaining: integer });
const STOPPED = fields<RedriveStopped>({ stopped: flag });
const PURGED = fields<Purged>({ purged: integer });

const VISIBILITY_MS = 30_000;
const WAIT_MS = 30_000;
/** A lease is prolonged after this part of it. */
const EXTEND_AFTER = 0.5;

export type QueueDefinition = {
  readonly topic: string;
  readonly visibilityMs?: number | undefined;
  readonly maxDeliveries?: number | undefined;
  readonly backoffMs?: readonly number[] | undefined;
  /** Null: records that keep failing are dropped. @default `{queue}.dead` */
  readonly deadLetter?: string | null | undefined;
  readonly order?: "none" | "key" | undefined;
  readonly maxInFlight?: number | undefined;
  readonly from?: "earliest" | "latest" | undefined;
};

export type ReceiveOptions = CallOptions & {
  /** @default 1 */
  readonly max?: number | undefined;
  /** Wait for a message if there is none. @default 0 */
  readonly waitMs?: number | undefined;
  /** Length of the lease. @default as the queue says */
  readonly visibilityMs?: number | undefined;
};

export type WorkOptions = {
  /** Messages at a time. @default 1 */
  readonly concurrency?: number | undefined;
  /** Length of a lease; it is prolonged while the handler runs. @default 30_000 */
  readonly visibilityMs?: number | undefined;
  /** Ends the work: no more messages are received, and handlers that run are waited for. */
  readonly signal?: AbortSignal | undefined;
  /** Called with errors of handlers and of requests. The work goes on. */
  readonly onError?: ((error: unknown, message?: QueueMessage) => void) | undefined;
};

/** Thrown by a handler: the message is put aside at once, because another attempt is of no use. */
export class RejectMessage extends Error {
  override readonly name = "RejectMessage";
}

/** A message that was leased. */
export class QueueMessage extends Message {
  /** Number of this delivery, from 1. */
  readonly attempt: number;
  /** Names this delivery. */
  readonly receipt: string;
  readonly visibleAtMs: number;

  constructor(topic: string, fields: MessageFields, delivery: Delivery) {
    super(topic, fields);
    this.attempt = delivery.attempt;
    this.receipt = delivery.receipt;
    this.visibleAtMs = delivery.visibleAtMs;
  }
}

type Delivery = {
  readonly attempt: number;
  readonly receipt: string;
  readonly visibleAtMs: number;
};

function received(wire: ReceivedMessages["messages"][number]): QueueMessage {
  const { value, key, ...others } = wire;
  const message = messageOf(wire.topic, {
    ...others,
    ...(key === undefined ? {} : { key }),
    ...(value === undefined ? {} : { value }),
  } as WireMessage);
  const { partition, offset, timestampMs, headers } = message;
  const content = value ?? message.bytes;
  const fields = { partition, offset, timestampMs, key: message.key, headers, content };
  const { attempt, receipt, visible_at_ms: visibleAtMs } = wire;
  return new QueueMessage(wire.topic, fields, { attempt, receipt, visibleAtMs });
}

/** @param signal is aborted when the lease is lost: another worker may have the message then. */
export type Handler = (message: QueueMessage, signal: AbortSignal) => unknown;
type Receipts = readonly (string | { readonly receipt: string })[];

export class Queue {
  readonly name: string;
  readonly #transport: Transport;

  constructor(transport: Transport, name: string) {
    this.#transport = transport;
    this.name = name;
  }

  /** @returns true if the queue is new. */
  async define(definition: QueueDefinition, options: CallOptions = {}): Promise<boolean> {
    const body = JSON.stringify({
      topic: definition.topic,
      visibility_ms: definition.visibilityMs,
      max_deliveries: definition.maxDeliveries,
      backoff_ms: definition.backoffMs,
      dead_letter: definition.deadLetter,
      order: definition.order,
      max_in_flight: definition.maxInFlight,
      from: definition.from,
    });
    const request = { method: "PUT", path: this.#path(), body, ...options } as const;
    return (await this.#transport.json({ ...request, repeatable: true }, PUT)).created;
  }

  async describe(options: CallOptions = {}): Promise<QueueDescription> {
    const request = { method: "GET", path: this.#path(), ...options } as const;
    const { ok: _ok, ...described } = camel(await this.#transport.json(request, DESCRIBED));
    return described;
  }

  /** Deletes the queue; its topic and its dead letters stay. */
  async delete(options: CallOptions = {}): Promise<void> {
    await this.#transport.json({ method: "DELETE", path: this.#path(), ...options }, ACCEPTED);
  }

  /** If the answer is lost, the messages come again when their leases have ended. */
  async receive(options: ReceiveOptions = {}): Promise<readonly QueueMessage[]> {
    const { max, waitMs, visibilityMs, ...rest } = options;
    const answer = await this.#transport.json(
      {
        method: "POST",
        path: this.#path("receive"),
        query: { max, wait_ms: waitMs, visibility_ms: visibilityMs },
        waitMs,
        repeatable: true,
        ...rest,
      },
      RECEIVED,
    );
    return answer.messages.map(received);
  }

  /** @returns for each receipt whether its lease was in force. */
  ack(receipts: Receipts, options: CallOptions = {}): Promise<readonly Settlement[]> {
    return this.#settle("ack", receipts, {}, options);
  }

  /** @param options without `delayMs`, the backoff of the queue counts. */
  nack(
    receipts: Receipts,
    { delayMs, ...options }: CallOptions & { readonly delayMs?: number | undefined } = {},
  ): Promise<readonly Settlement[]> {
    return this.#settle("nack", receipts, { delay_ms: delayMs }, options);
  }

  extend(
    receipts: Receipts,
    { byMs, ...options }: CallOptions & { readonly byMs: number },
  ): Promise<readonly Settlement[]> {
    return this.#settle("extend", receipts, { by_ms: byMs }, options);
  }

  /** Puts messages aside at once. */
  reject(
    receipts: Receipts,
    { reason, ...options }: CallOptions & { readonly reason?: string | undefined } = {},
  ): Promise<readonly Settlement[]> {
    return this.#settle("reject", receipts, { reason }, options);
  }

  /** Moves dead letters back. */
  redrive(options: RedriveOptions = {}): Promise<Redriven> {
    return redrive(this.#transport, this.#path("redrive"), options);
  }

  /** Ends a redrive with a rate. @returns whether there was one. */
  async stopRedrive(options: CallOptions = {}): Promise<boolean> {
    const request = { method: "DELETE", path: this.#path("redrive"), ...options } as const;
    return (await this.#transport.json(request, STOPPED)).stopped;
  }

  /** Finishes all present messages. @returns their number. */
  async purge(options: CallOptions = {}): Promise<number> {
    const request = { method: "POST", path: this.#path("purge"), ...options } as const;
    return (await this.#transport.json(request, PURGED)).purged;
  }

  /**
   * Calls the handler with messages until the signal is aborted. A message is acknowledged when its
   * handler returns, given back when it throws, and put aside when it throws `RejectMessage`. The
   * lease is prolonged while the handler runs. When `work` ends, in either way, no handler runs.
   *
   * @throws AyderError if the queue does not exist, or the token may not read its topic.
   */
  async work(handler: Handler, options: WorkOptions = {}): Promise<void> {
    const { concurrency = 1, signal, visibilityMs = VISIBILITY_MS, onError } = options;
    const running = new Set<Promise<void>>();
    while (signal?.aborted !== true) {
      const free = concurrency - running.size;
      if (free <= 0) {
        await Promise.race(running);
        continue;
      }
      const max = Math.min(free, 100);
      const waiting = { max, waitMs: WAIT_MS, visibilityMs, signal, retryMs: WAIT_MS };
      const messages = await this.receive(waiting).catch((error: unknown) => {
        if (signal?.aborted === true) return [];
        // A wrong name or token does not become right.
        if (error instanceof AyderError && error.outcome === "refused" && !error.isRetriable) {
          return error;
        }
        onError?.(error);
        return [];
      });
      if (messages instanceof AyderError) {
        await Promise.all(running);
        throw messages;
      }
      for (const message of messages) {
        const task = this.#handle(message, handler, visibilityMs, onError).finally(() =>
          running.delete(task),
        );
        running.add(task);
      }
    }
    await Promise.all(running);
  }

  async #handle(
    message: QueueMessage,
    handler: Handler,
    visibilityMs: number,
    onError: WorkOptions["onError"],
  ): Promise<void> {
    const lost = new AbortController();
    const stop = this.#keep(message, visibilityMs, lost);
    try {
      await handler(message, lost.signal);
      stop();
      await this.ack([message]);
    } catch (error) {
      stop();
      onError?.(error, message);
      const settled =
        error instanceof RejectMessage
          ? this.reject([message], { reason: error.message || undefined })
          : this.nack([message]);
      await settled.catch((failed: unknown) => onError?.(failed, message));
    }
  }

  /** Prolongs the lease until the returned function is called. */
  #keep(message: QueueMessage, byMs: number, lost: AbortController): () => void {
    const timer = setInterval(() => {
      this.extend([message], { byMs: Math.ceil(byMs * EXTEND_AFTER) }).then(
        ([result]) => {
          if (result?.ok === false) lost.abort(new Error("the lease of the message is lost"));
        },
        () => undefined,
      );
    }, byMs * EXTEND_AFTER);
    return () => clearInterval(timer);
  }

  async #settle(
    verb: string,
    receipts: Receipts,
    more: Readonly<Record<string, unknown>>,
    options: CallOptions,
  ): Promise<readonly Settlement[]> {
    const texts = receipts.map((each) => (typeof each === "string" ? each : each.receipt));
    const body = JSON.stringify({ receipts: texts, ...more });
    // Repeating a request that was done is answered with `lease_expired`, so it does no harm.
    const request = { method: "POST", path: this.#path(verb), body, repeatable: true } as const;
    return (await this.#transport.json({ ...request, ...options }, SETTLED)).results;
  }

  #path(verb?: string): string {
    const queue = `/broker/queues/${segment(this.name)}`;
    return verb === undefined ? queue : `${queue}/${verb}`;
  }
}

export async function listQueues(
  transport: Transport,
  options: CallOptions,
): Promise<readonly QueueSummary[]> {
  const request = { method: "GET", path: "/broker/queues", ...options } as const;
  return camel(await transport.json(request, LIST)).queues;
}

export type RedriveOptions = CallOptions & {
  readonly max?: number | undefined;
  readonly perSecond?: number | undefined;
};
export type Redriven = { readonly moved: number; readonly remaining: number };

/** Moves dead letters back, of a queue or of the queue of a webhook. */
export async function redrive(
  transport: Transport,
  path: string,
  options: RedriveOptions,
): Promise<Redriven> {
  const { max, perSecond, ...rest } = options;
  const body = JSON.stringify({ max, per_second: perSecond });
  const { moved, remaining } = await transport.json(
    { method: "POST", path, body, ...rest },
    REDRIVEN,
  );
  return { moved, remaining };
}
