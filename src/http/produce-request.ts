import { PRODUCE_QUERY } from "../api/produce.ts";
import { fromUtf8, utf8 } from "../lib/bytes.ts";
import type { ProduceRequest, ProducerNumber } from "../node/api.ts";
import type { EncodedRecords } from "../record/batch-builder.ts";
import { ApiError, shown } from "./errors.ts";
import { KnownUrls } from "./known-urls.ts";
import { invalid as invalidProducer, readProducer } from "./producer-headers.ts";
import { queryReader } from "./query.ts";
import { NO_REQUEST_HEADERS, type RequestHeaders, readRequestHeaders } from "./record-headers.ts";
import type { RequestContext } from "./request-context.ts";
import { isJoined, repeated, singleHeader } from "./single-header.ts";

/** Everything of a produce but its records, checked. */
export type ProduceOptions = {
  readonly topic: string;
  readonly partition: number | null;
  readonly key: Uint8Array | null;
  readonly idempotencyKey: Uint8Array | null;
  readonly producer: ProducerNumber | null;
  /** Every record gets them. */
  readonly headers: RequestHeaders;
  readonly contentType: string | null;
  readonly timeoutMs: number | null;
  readonly rocket: boolean;
  readonly timing: boolean;
  /** Produce the records later; null: now. */
  readonly later: { readonly delayMs: number | null; readonly deliverAtMs: number } | null;
};

const IDEMPOTENCY_KEY_BYTES_MAX = 512;
const KEY_REMEDY = "use the parameter idempotency_key for such a key";
/** Above this wait the answer may come later than the server's idle timeout allows. */
export const LONG_TIMEOUT_MS = 5_000;
/** Longest delay that a timer takes, about 25 days; a longer wait is the same to a client. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

const readQuery = queryReader(PRODUCE_QUERY);

/**
 * Reads the options of produces. Most producers send the same few URLs again and again, and no header
 * that says anything about the record. Their options are remembered by the URL.
 */
export class ProduceReader {
  readonly #rocketByDefault: boolean;
  readonly #known = new KnownUrls<ProduceOptions>();

  constructor(rocketByDefault: boolean) {
    this.#rocketByDefault = rocketByDefault;
  }

  /**
   * @param takesEvents request headers may be attributes of a CloudEvent.
   * @throws ApiError
   */
  read(context: RequestContext, takesEvents: boolean): ProduceOptions {
    const { url, request } = context;
    const kind = context.headersKind;
    if (kind !== "more") {
      const known = this.#known.get(url);
      const options = known ?? readOptions(context, null, this.#rocketByDefault, takesEvents);
      if (known === undefined && isRepeatable(options)) this.#known.remember(url, options);
      if (kind === "plain") return options;
      return { ...options, contentType: contentTypeOf(request.headers) };
    }
    return readOptions(context, request.headers, this.#rocketByDefault, takesEvents);
  }
}

/** False if each request of a producer is likely to have options of its own. */
const isRepeatable = ({ key, idempotencyKey, producer, headers, later }: ProduceOptions): boolean =>
  key === null &&
  idempotencyKey === null &&
  producer === null &&
  later === null &&
  headers === NO_REQUEST_HEADERS;

/** @param headers null: none of them says anything about the record. */
function readOptions(
  context: RequestContext,
  headers: Headers | null,
  rocketByDefault: boolean,
  takesEvents: boolean,
): ProduceOptions {
  const topic = context.path("topic");
  const query = readQuery(context);
  const { partition, key, idempotency_key, timeout_ms, timing, mode, producer } = query;
  const { prefixed } = context;
  return {
    topic,
    partition,
    key: key === null ? null : utf8(key),
    idempotencyKey: readIdempotencyKey(headers, idempotency_key),
    producer: headers === null && producer === null ? null : readProducer(headers, producer),
    contentType: headers === null ? null : contentTypeOf(headers),
    headers:
      headers === null && prefixed.length === 0
        ? NO_REQUEST_HEADERS
        : readRequestHeaders(headers, prefixed, takesEvents),
    timeoutMs: withinTimers(timeout_ms),
    timing: timing === "1",
    later:
      query.delay_ms === null && query.deliver_at_ms === null
        ? null
        : readLater(query.delay_ms, query.deliver_at_ms, mode, producer, headers),
    rocket: mode === null ? rocketByDefault : mode === "rocket",
  };
}

/** Types that say how the body is read. With any other, it is opaque. */
const READ_TYPE = /application\/(cloudevents|vnd\.ayder\.batch)/i;

function contentTypeOf(headers: Headers): string | null {
  const type = headers.get("content-type");
  if (type === null || !isJoined(type) || !READ_TYPE.test(type)) return type;
  throw repeated("Content-Type", type, "invalid_header");
}

function readLater(
  delayMs: number | null,
  deliverAtMs: number | null,
  mode: string | null,
  producer: string | null,
  headers: Headers | null,
): { delayMs: number | null; deliverAtMs: number } {
  if (delayMs !== null && deliverAtMs !== null) {
    throw new ApiError(
      "invalid_parameter",
      "delay_ms and deliver_at_ms were both given: name one of them",
    );
  }
  if (mode === "rocket") {
    throw new ApiError("invalid_parameter", "mode is rocket: a record for later is always sealed");
  }
  if (producer !== null || headers?.has("producer-id") === true) {
    throw new ApiError(
      "invalid_parameter",
      "A record for later has no producer number: use an idempotency key",
    );
  }
  return { delayMs, deliverAtMs: deliverAtMs ?? 0 };
}

/** @param timeoutMs null: none was given. */
export const withinTimers = (timeoutMs: number | null): number | null =>
  timeoutMs === null ? null : Math.min(timeoutMs, TIMER_MS_MAX);

function readIdempotencyKey(headers: Headers | null, queried: string | null): Uint8Array | null {
  const header =
    headers === null
      ? null
      : singleHeader(headers, "Idempotency-Key", "invalid_idempotency_key", KEY_REMEDY);
  if (header === null && queried === null) return null;
  const fromHeader = header === null ? null : headerText(header);
  if (fromHeader !== null && queried !== null && fromHeader !== queried) {
    throw new ApiError(
      "invalid_idempotency_key",
      `The header Idempotency-Key is ${shown(fromHeader)}, but idempotency_key is ${shown(queried)}`,
    );
  }
  const bytes = utf8(queried ?? fromHeader ?? "");
  if (bytes.length >= 1 && bytes.length <= IDEMPOTENCY_KEY_BYTES_MAX) return bytes;
  throw new ApiError(
    "invalid_idempotency_key",
    `The idempotency key has ${bytes.length} bytes; it must have 1 to ${IDEMPOTENCY_KEY_BYTES_MAX}`,
  );
}

/** Headers arrive with one character a byte; a key in UTF-8 is to be the same as in the query. */
function headerText(header: string): string {
  try {
    return fromUtf8(Buffer.from(header, "latin1"));
  } catch {
    throw new ApiError("invalid_idempotency_key", "The header Idempotency-Key is not valid UTF-8");
  }
}

/** @throws ApiError `invalid_producer`. */
export function produceRequest(options: ProduceOptions, records: EncodedRecords): ProduceRequest {
  if (options.producer !== null) checkNumbered(options);
  return {
    topic: options.topic,
    partition: options.partition,
    key: options.key,
    idempotencyKey: options.idempotencyKey,
    records,
    timeoutMs: options.timeoutMs,
    rocket: options.rocket,
    traced: options.headers.traced,
    producer: options.producer,
  };
}

/** A number counts in one partition, so the request must not be sent to another one when it is repeated. */
function checkNumbered({ partition, key, idempotencyKey }: ProduceOptions): void {
  if (partition === null && key === null) {
    throw invalidProducer(
      "A producer numbers its writes in a partition: partition or key is required",
    );
  }
  if (idempotencyKey !== null) {
    throw invalidProducer(
      "The request has both Producer-Id and an idempotency key: one of them says whether it is a repetition",
    );
  }
}
