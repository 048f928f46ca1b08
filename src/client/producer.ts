/**
 * Sends many messages in few requests: messages that are passed while a request is in flight are
 * sent together in the next one. Batches grow with the load, and a single message is sent at once.
 */
import { AyderError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { ProduceOptions } from "./types.ts";
import { bytesOf, lineOf, type RecordHeaders, type Value } from "./values.ts";

export type ProducerOptions = {
  /** Partition of messages that do not name one. */
  readonly partition?: number | undefined;
  readonly mode?: "sealed" | "rocket" | undefined;
  /** Maximum size of a request. @default 1 MiB */
  readonly batchBytes?: number | undefined;
  /** @default 10_000 */
  readonly batchMessages?: number | undefined;
  /** `send` rejects with `queue_full` if more bytes than this wait for an answer. @default 64 MiB */
  readonly queueBytes?: number | undefined;
  readonly retryMs?: number | undefined;
};

export type SendOptions = {
  readonly partition?: number | undefined;
  readonly key?: string | undefined;
  /** Headers of the message. Messages with other headers go into another request. */
  readonly headers?: RecordHeaders | undefined;
};

/** Position of a stored message. */
export type Sent = {
  readonly partition: number;
  readonly offset: number;
  readonly durable: boolean;
};

type Waiting = {
  readonly value: Value;
  /** Null if the message cannot be part of a batch. */
  readonly line: string | Uint8Array | null;
  readonly bytes: number;
  readonly headers: RecordHeaders | undefined;
  /** The headers as text, to compare them. */
  readonly headersText: string;
  resolve(sent: Sent): void;
  reject(error: unknown): void;
};

/** Messages of one partition or key: one request at a time, so they stay in order. */
type Lane = { readonly target: Omit<SendOptions, "headers">; readonly queue: Waiting[] };

const MIB = 1024 * 1024;

export class Producer {
  readonly topic: string;
  readonly #log: Log;
  readonly #options: ProducerOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #running = new Set<Promise<void>>();
  #queuedBytes = 0;

  constructor(log: Log, topic: string, options: ProducerOptions) {
    this.#log = log;
    this.topic = topic;
    this.#options = options;
  }

  /** Bytes of messages that wait for an answer. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /**
   * Messages with the same key, or without one for the same partition, are stored in the order of
   * the calls. A message that fails does not delay later ones.
   *
   * @returns when the message is stored, as the mode defines it.
   * @throws AyderError
   */
  send(value: Value, options: SendOptions = {}): Promise<Sent> {
    const line = lineOf(value);
    const bytes = sizeOf(line ?? value);
    const { queueBytes = 64 * MIB } = this.#options;
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > queueBytes) {
      return Promise.reject(queueFull(queueBytes));
    }
    const { partition = this.#options.partition, key, headers } = options;
    const headersText = headers === undefined ? "" : JSON.stringify(headers);
    this.#queuedBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#enqueue(
        { partition, key },
        {
          ...{ value, line, bytes, headers, headersText },
          resolve,
          reject,
        },
      );
    });
  }

  /** Resolves when every message sent before has an answer or an error. */
  async flush(): Promise<void> {
    await Promise.all(this.#running);
  }

  #enqueue(target: Lane["target"], waiting: Waiting): void {
    const name = JSON.stringify([target.partition ?? null, target.key ?? null]);
    const lane = this.#lanes.get(name);
    if (lane !== undefined) {
      lane.queue.push(waiting);
      return;
    }
    const started: Lane = { target, queue: [waiting] };
    this.#lanes.set(name, started);
    const running = this.#drain(started).finally(() => this.#running.delete(running));
    this.#running.add(running);
    running.catch(() => undefined);
  }

  async #drain(lane: Lane): Promise<void> {
    const name = JSON.stringify([lane.target.partition ?? null, lane.target.key ?? null]);
    // Messages sent in the same event-loop iteration go into the first request.
    await Promise.resolve();
    while (lane.queue.length > 0) await this.#write(lane, this.#take(lane));
    this.#lanes.delete(name);
  }

  /** Removes the messages of the next request: as many as fit, or one that must be sent alone. */
  #take({ queue }: Lane): Waiting[] {
    const { batchBytes = MIB, batchMessages = 10_000 } = this.#options;
    let bytes = 0;
    let count = 0;
    const first = queue[0]?.headersText;
    for (const { line, bytes: size, headersText } of queue) {
      if (count > 0 && (line === null || headersText !== first)) break;
      if (count > 0 && (bytes + size > batchBytes || count >= batchMessages)) break;
      bytes += size;
      count++;
      if (line === null) break;
    }
    return queue.splice(0, count);
  }

  async #write(lane: Lane, batch: readonly Waiting[]): Promise<void> {
    try {
      const { partition, firstOffset, durable } = await this.#request(lane, batch);
      for (const [i, { resolve }] of batch.entries()) {
        resolve({ partition, offset: firstOffset + i, durable });
      }
    } catch (error) {
      if (isTooLarge(error) && batch.length > 1) {
        await this.#halve(lane, batch);
        return;
      }
      for (const { reject } of batch) reject(error);
    }
    for (const { bytes } of batch) this.#queuedBytes -= bytes;
  }

  async #request({ target }: Lane, batch: readonly Waiting[]) {
    const { mode, retryMs } = this.#options;
    const headers = batch[0]?.headers;
    const options: ProduceOptions = { ...target, headers, mode, retryMs };
    const lines = batch.flatMap(({ line }) => (line === null ? [] : [line]));
    const [first] = batch;
    if (first !== undefined && (batch.length === 1 || lines.length === 0)) {
      const one = await this.#log.produce(this.topic, first.value, options);
      return { ...placeOf(one), firstOffset: one.offset };
    }
    const many = await this.#log.produceLines(this.topic, lines, options);
    return { ...placeOf(many), firstOffset: many.firstOffset };
  }

  /** Splits a batch that is too large, so that one large message does not fail the others. */
  async #halve(lane: Lane, batch: readonly Waiting[]): Promise<void> {
    const middle = batch.length >> 1;
    await this.#write(lane, batch.slice(0, middle));
    await this.#write(lane, batch.slice(middle));
  }
}

/** A duplicate is durable: it is answered after the first write is committed. */
const placeOf = (produced: { partition: number; durable?: boolean; duplicate?: boolean }) => ({
  partition: produced.partition,
  durable: produced.duplicate === true || produced.durable === true,
});

const sizeOf = (value: Value): number =>
  value instanceof Uint8Array ? value.length : bytesOf(value).length;

const isTooLarge = (error: unknown): boolean =>
  error instanceof AyderError && error.status === 413 && error.outcome === "refused";

const queueFull = (limit: number): AyderError =>
  new AyderError(`more than ${limit} bytes wait for an answer; await earlier sends`, {
    code: "queue_full",
    status: 0,
    outcome: "refused",
    isRetriable: true,
  });
