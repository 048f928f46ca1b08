/** Requests of the log: produce, read, commit. */
import { BATCHES_TYPE, decodeBatches, type RawPage } from "./batches.ts";
import { AyderError, badAnswer } from "./errors.ts";
import { BYTES_TYPE, type Carried, carried, type Outgoing } from "./outgoing.ts";
import type { Shape } from "./shape.ts";
import {
  COMMITTED,
  DELETED,
  OFFSETS_AT,
  PAGE,
  PRODUCED,
  PRODUCED_BATCH,
  SCHEDULED,
  STORED,
} from "./shapes.ts";
import type { Answer, CallOptions, Query, Transport } from "./transport.ts";
import type {
  Deleted,
  NewRecord,
  OffsetAt,
  Page,
  PartitionRef,
  Produced,
  ProducedBatch,
  ProduceOptions,
  ReadOptions,
  ScheduledMessage,
} from "./types.ts";
import { segment } from "./url.ts";
import {
  bytesOf,
  type Camel,
  camel,
  joinLines,
  lineOf,
  messageOf,
  type RecordHeaders,
  recordJson,
  type Value,
} from "./values.ts";

const PAGE_RECORDS = 1000;
const TOPIC_ID_HEADER = "ayder-topic-id";
const ACCEPTED = `${BATCHES_TYPE}, application/json;q=0.5`;
/** Group of reads without a group: the path needs a name, but nothing is committed for it. */
const NO_GROUP = "ayder-client";

/** Errors of a server, or of a cluster, that does not know the numbers of producers. */
export const NUMBERS_UNKNOWN: readonly string[] = ["unknown_parameter", "cluster_not_upgraded"];

/** For this long messages are sent as text after a server that does not know batches was met. */
const TEXT_MS = 60_000;

/** An earlier version of the server does not have the route, and has stored nothing. */
const isRouteUnknown = (error: unknown): boolean =>
  error instanceof AyderError &&
  error.outcome === "refused" &&
  (error.status === 404 || error.status === 405) &&
  error.code !== "topic_not_found" &&
  error.code !== "partition_not_found";

export type LaterQuery = {
  readonly delay_ms?: number | undefined;
  readonly deliver_at_ms?: number | undefined;
};

export type SendTarget = {
  readonly partition: number | undefined;
  /** `<id>:<epoch>:<seq>`. Undefined: the request gets an idempotency key. */
  readonly producer?: string;
  readonly mode: "sealed" | "rocket" | undefined;
  readonly retryMs: number | undefined;
};

export type SentBatch = Pick<Produced, "partition" | "durable" | "duplicate" | "payloadMatches"> & {
  /** Undefined: a duplicate of a write before the last one of its producer. */
  readonly firstOffset: number | undefined;
};

export class Log {
  readonly #transport: Transport;
  /** Prefix of generated idempotency keys, unique to this client. */
  readonly #origin = randomText();
  #sequence = 0;
  /** Until then, the server is taken not to know batches. */
  #textUntilMs = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async produce(topic: string, value: Value, options: ProduceOptions): Promise<Produced> {
    return await this.#write(topic, "produce", PRODUCED, bytesOf(value), options);
  }

  /** Produces the message later. */
  async schedule(
    topic: string,
    value: Value,
    options: ProduceOptions,
    when: LaterQuery,
  ): Promise<ScheduledMessage> {
    const answer = await this.#write(topic, "produce", SCHEDULED, bytesOf(value), options, when);
    const { scheduleId, deliverAtMs, partition, duplicate = false } = answer;
    return { scheduleId, deliverAtMs, partition, duplicate };
  }

  async produceBatch(
    topic: string,
    values: readonly Value[],
    options: ProduceOptions,
  ): Promise<ProducedBatch> {
    return await this.produceLines(topic, values.map(lineAt), options);
  }

  async produceLines(
    topic: string,
    lines: readonly (string | Uint8Array)[],
    options: ProduceOptions,
  ): Promise<ProducedBatch> {
    const body = joinLines(lines);
    return await this.#write(topic, "produce-ndjson", PRODUCED_BATCH, body, options);
  }

  async produceRecords(
    topic: string,
    records: readonly NewRecord[],
    options: ProduceOptions,
  ): Promise<ProducedBatch> {
    const list = records.map(({ value, key, headers }) => recordJson(value, key, headers));
    const body = bytesOf(`{"records":[${list.join(",")}]}`);
    return await this.#write(topic, "produce-json", PRODUCED_BATCH, body, options);
  }

  /** Stores messages of a producer in one request. */
  async send(
    topic: string,
    messages: readonly Outgoing[],
    options: SendTarget,
  ): Promise<SentBatch> {
    const { producer, partition, mode, retryMs } = options;
    const identity =
      producer === undefined
        ? { idempotencyKey: this.#nextKey() }
        : { producer, idempotencyKey: null };
    const store = async (as: Carried) => {
      const { route, contentType, body, key, headers } = as;
      const request = { partition, key, headers, mode, retryMs, contentType, ...identity };
      const answer = await this.#write(topic, route, STORED, body, request);
      const { offset, firstOffset = offset, ...rest } = answer;
      return { ...rest, firstOffset };
    };
    const first = carried(messages, Date.now() >= this.#textUntilMs);
    try {
      return await store(first);
    } catch (error) {
      if (first.route !== "produce-batches" || !isRouteUnknown(error)) throw error;
      this.#textUntilMs = Date.now() + TEXT_MS;
      return await store(carried(messages, false));
    }
  }

  async #write<T>(
    topic: string,
    route: Carried["route"],
    shape: Shape<T>,
    body: Uint8Array,
    options: ProduceOptions & { readonly producer?: string; readonly contentType?: string },
    when: LaterQuery = {},
  ): Promise<Camel<T>> {
    const { idempotencyKey = this.#nextKey(), producer, signal, retryMs } = options;
    const { partition, key, headers = {}, timeoutMs, mode, contentType = BYTES_TYPE } = options;
    const query: Query = {
      partition,
      key,
      idempotency_key: idempotencyKey ?? undefined,
      timeout_ms: timeoutMs,
      mode,
      producer,
      ...when,
      ...headerQuery(headers),
    };
    const path = `/broker/topics/${segment(topic)}/${route}`;
    const request = {
      method: "POST",
      path,
      query,
      body,
      headers: { "content-type": contentType },
      repeatable: idempotencyKey !== null || producer !== undefined,
      final: producer === undefined ? [] : NUMBERS_UNKNOWN,
      waitMs: timeoutMs,
      signal,
      retryMs,
    } as const;
    return camel(await this.#transport.json(request, shape));
  }

  #nextKey(): string {
    return `${this.#origin}-${this.#sequence++}`;
  }

  async read(topic: string, partition: number, options: ReadOptions): Promise<Page> {
    const request = readRequest(topic, partition, options, ACCEPTED);
    const answer = await this.#transport.send(request);
    if (answer.headers.get("content-type") === BATCHES_TYPE) {
      return batchesPage(answer, topic, partition, this.#transport.url);
    }
    // A server of an older version answers with JSON.
    const { messages, ...numbers } = this.#transport.parse(answer, request, PAGE);
    const told = Number(answer.headers.get(TOPIC_ID_HEADER));
    return {
      ...camel(numbers),
      // A server of an older version does not say it.
      ...(told > 0 ? { topicId: told } : {}),
      messages: messages.map((message) => messageOf(topic, message)),
    };
  }

  /** Reads one page without decoding it. The checksums are left to the caller. */
  async readBatches(topic: string, partition: number, options: ReadOptions): Promise<RawPage> {
    const answer = await this.#transport.send(readRequest(topic, partition, options, BATCHES_TYPE));
    return rightAnswer(answer, this.#transport.url, () => {
      if (answer.headers.get("content-type") !== BATCHES_TYPE) {
        throw new RangeError(`the content type is "${answer.headers.get("content-type") ?? ""}"`);
      }
      return {
        bytes: answer.bytes,
        ...placeOf(answer),
        endOffset: numberIn(answer, "ayder-end-offset"),
      };
    });
  }

  async offsetsAt(
    topic: string,
    timeMs: number,
    options: CallOptions,
  ): Promise<readonly OffsetAt[]> {
    const request = {
      method: "GET",
      path: `/broker/topics/${segment(topic)}/offsets`,
      query: { time_ms: timeMs },
      ...options,
    } as const;
    const answer = camel(await this.#transport.json(request, OFFSETS_AT));
    return answer.offsets;
  }

  async commit(
    place: PartitionRef & { readonly group: string; readonly offset: number },
    options: CallOptions,
  ): Promise<number> {
    const { topic, group, partition, offset } = place;
    const request = {
      method: "POST",
      path: "/broker/commit",
      body: JSON.stringify({ topic, group, partition, offset }),
      // Committed offsets never move back, so a late repetition changes nothing.
      repeatable: true,
      ...options,
    } as const;
    const answer = await this.#transport.json(request, COMMITTED);
    return answer.committed_offset;
  }

  async deleteBefore(
    place: PartitionRef & { readonly beforeOffset: number },
    options: CallOptions,
  ): Promise<Deleted> {
    const { topic, partition, beforeOffset } = place;
    const request = {
      method: "POST",
      path: "/broker/delete-before",
      body: JSON.stringify({ topic, partition, before_offset: beforeOffset }),
      repeatable: true,
      ...options,
    } as const;
    return camel(await this.#transport.json(request, DELETED));
  }
}

/** In the query, where values may hold any character. */
const headerQuery = (headers: RecordHeaders): Query =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      `header.${encodeURIComponent(name)}`,
      value.toWellFormed(),
    ]),
  );

function readRequest(topic: string, partition: number, options: ReadOptions, accept: string) {
  const { group, limit = PAGE_RECORDS, maxBytes, waitMs, linearizable, topicId = 0 } = options;
  return {
    method: "GET",
    path: `/broker/consume/${segment(topic)}/${segment(group ?? NO_GROUP)}/${partition}`,
    query: {
      offset: options.offset ?? (group === undefined ? 0 : undefined),
      limit,
      max_bytes: maxBytes,
      wait_ms: waitMs,
      consistency: linearizable === true ? "linearizable" : undefined,
    },
    headers: { [TOPIC_ID_HEADER]: String(topicId), accept },
    waitMs,
    signal: options.signal,
    retryMs: options.retryMs,
  } as const;
}

function numberIn({ headers }: Answer, name: string): number {
  const text = headers.get(name) ?? "";
  if (!/^[0-9]{1,16}$/.test(text)) throw new RangeError(`the header ${name} is "${text}"`);
  return Number(text);
}

const placeOf = (answer: Answer) => ({
  startOffset: numberIn(answer, "ayder-start-offset"),
  nextOffset: numberIn(answer, "ayder-next-offset"),
  topicId: numberIn(answer, TOPIC_ID_HEADER),
});

/** @throws AyderError `bad_answer` if a checksum, a length or a header is wrong. */
function batchesPage(answer: Answer, topic: string, partition: number, server: string): Page {
  return rightAnswer(answer, server, () => {
    const place = placeOf(answer);
    const messages = decodeBatches(answer.bytes, { topic, partition, ...place });
    return {
      messages,
      count: messages.length,
      nextOffset: place.nextOffset,
      committedOffset: answer.headers.has("ayder-committed-offset")
        ? numberIn(answer, "ayder-committed-offset")
        : null,
      truncated: answer.headers.get("ayder-truncated") === "true",
      lowWatermark: numberIn(answer, "ayder-low-watermark"),
      endOffset: numberIn(answer, "ayder-end-offset"),
      topicId: place.topicId,
    };
  });
}

function rightAnswer<T>(answer: Answer, server: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw badAnswer(
      `${server} answered with batches that are not right: ${error.message}`,
      answer.status,
      "refused",
      error,
    );
  }
}

function lineAt(value: Value, index: number): string | Uint8Array {
  const line = lineOf(value);
  if (line !== null) return line;
  throw new AyderError(
    `value ${index} cannot be in a batch: it is not UTF-8 and contains a line feed, or ends in a ` +
      "carriage return; produce it by itself",
    { code: "not_a_line", status: 0, outcome: "refused", isRetriable: false },
  );
}

export function randomText(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
