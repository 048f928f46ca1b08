import {
  PRODUCE_JSON_BODY,
  PRODUCE_QUERY,
  PRODUCED_ANY,
  PRODUCED_BATCH_ANY,
} from "../../api/produce.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Produced, ProduceOutcome, ProducerNumber, Scheduled } from "../../node/api.ts";
import { type EncodedRecords, encodeRecord } from "../../record/batch-builder.ts";
import { checkBatchOptions, isBatch, takeBatches } from "../batch-body.ts";
import { JSON_FIELD_ERRORS, takeBytes, takeInSteps } from "../body.ts";
import { encodeEvents, eventModeOf } from "../cloud-events.ts";
import { ApiError, type ErrorCode, shown } from "../errors.ts";
import { encodeJsonRecords } from "../json-records.ts";
import { encodeLines } from "../ndjson.ts";
import {
  LONG_TIMEOUT_MS,
  type ProduceOptions,
  ProduceReader,
  produceRequest,
} from "../produce-request.ts";
import { HEADER_QUERY_PREFIX } from "../record-headers.ts";
import type { Endpoint, LATER, RequestContext } from "../request-context.ts";
import { acceptedText, jsonText, placeOf } from "../responses.ts";
import { scheduleText } from "../schedule-ids.ts";
import type { Services } from "../services.ts";
import { whenCurrent } from "../when-current.ts";

const ERRORS: readonly ErrorCode[] = [
  "invalid_topic",
  "invalid_idempotency_key",
  "invalid_producer",
  "invalid_header",
  "topic_not_found",
  "partition_not_found",
  "too_many_partitions",
  "message_too_large",
  "cluster_not_upgraded",
  "sequence_gap",
  "stale_epoch",
  "commit_timeout",
  "disk_full",
  "delay_too_long",
  "too_many_schedules",
];

const JSON_ERRORS: readonly ErrorCode[] = [
  ...JSON_FIELD_ERRORS,
  "empty_batch",
  "too_many_lines",
  "request_too_large",
];

const REQUEST_HEADERS = {
  "Idempotency-Key": "The same as idempotency_key",
  "Producer-Id": "Name of a producer that numbers its requests in each partition, 1 to 128 bytes",
  "Producer-Epoch": "A higher epoch of the producer fences lower ones; an integer from 0",
  "Producer-Seq": "Number of the request in this epoch and partition, counted from 0",
  "Ayder-Header-Name": "Header `name` of the record; any name of a-z 0-9 . _ - may stand for it",
  traceparent: "Stored as header `traceparent` of the record",
  tracestate: "Stored as header `tracestate` of the record",
};
const HEADER_PARAMETERS = {
  prefix: HEADER_QUERY_PREFIX,
  means: "Header of the record; percent-encoded UTF-8",
};

export function produceEndpoints(services: Services): readonly Endpoint[] {
  const reader = new ProduceReader(services.options.rocket);
  return [
    produceOne(services, reader),
    produceEncoded(services, reader),
    produceLines(services, reader),
    produceJson(services, reader),
  ];
}

const SHARED = {
  method: "POST",
  access: { kind: "path", scope: "write" },
  leaderOnly: true,
  byLink: true,
  query: PRODUCE_QUERY,
  prefixed: HEADER_PARAMETERS,
} as const;

const produceOne = (services: Services, reader: ProduceReader): Endpoint => ({
  ...SHARED,
  path: "/broker/topics/:topic/produce",
  isHot: true,
  docs: {
    summary:
      "Append one message: the body. Or batches that the client encoded (application/vnd.ayder.batch)",
    tag: "produce",
    body: "bytes",
    answer: PRODUCED_ANY,
    errors: [...ERRORS, ...JSON_ERRORS, "invalid_batch", "invalid_parameter"],
    requestHeaders: REQUEST_HEADERS,
  },
  bodyLimit: ({ request }) => {
    const { messageBytesMax, requestBytesMax } = services.options.limits;
    return eventModeOf(request.headers.get("content-type")) === null
      ? { bytes: messageBytesMax, code: "message_too_large" }
      : { bytes: requestBytesMax, code: "request_too_large" };
  },
  handle: (context) => {
    const options = reader.read(context, true);
    if (isBatch(options.contentType)) return produceBatches(services, context, options);
    const mode = eventModeOf(options.contentType);
    if (mode !== null) return produceEvents(services, context, options, mode);
    const { messageBytesMax } = services.options.limits;
    return takeBytes(context, messageBytesMax, "message_too_large", (body) => {
      const records = encodeRecord(options.key, body, options.headers.encoded);
      append(services, context, options, records, singleAnswer);
    });
  },
});

/**
 * Batches only. An earlier version answers 404 here, but on the route of single messages it would
 * store the body as one message.
 */
const produceEncoded = (services: Services, reader: ProduceReader): Endpoint => ({
  ...SHARED,
  path: "/broker/topics/:topic/produce-batches",
  isHot: true,
  docs: {
    summary: "Append batches that the client encoded, all or nothing",
    tag: "produce",
    body: "bytes",
    answer: PRODUCED_BATCH_ANY,
    requestHeaders: REQUEST_HEADERS,
    errors: [...ERRORS, "empty_batch", "too_many_lines", "request_too_large", "invalid_batch"],
  },
  bodyLimit: () => ({ bytes: services.options.limits.requestBytesMax, code: "request_too_large" }),
  handle: (context) => produceBatches(services, context, reader.read(context, false)),
});

const produceLines = (services: Services, reader: ProduceReader): Endpoint => ({
  ...SHARED,
  path: "/broker/topics/:topic/produce-ndjson",
  isHot: true,
  docs: {
    summary: "Append one message a line, all or nothing",
    tag: "produce",
    body: "bytes",
    answer: PRODUCED_BATCH_ANY,
    requestHeaders: REQUEST_HEADERS,
    errors: [...ERRORS, "empty_batch", "too_many_lines", "request_too_large"],
  },
  handle: (context) => {
    const options = reader.read(context, false);
    const { limits } = services.options;
    return takeBytes(context, limits.requestBytesMax, "request_too_large", (body) => {
      const records = encodeLines(body, options.key, options.headers.encoded, limits);
      append(services, context, options, records, batchAnswer);
    });
  },
});

const produceJson = (services: Services, reader: ProduceReader): Endpoint => ({
  ...SHARED,
  path: "/broker/topics/:topic/produce-json",
  docs: {
    summary: "Append records of a JSON document, all or nothing",
    tag: "produce",
    body: PRODUCE_JSON_BODY,
    answer: PRODUCED_BATCH_ANY,
    requestHeaders: REQUEST_HEADERS,
    errors: [...ERRORS, ...JSON_ERRORS],
  },
  bodyLimit: () => ({ bytes: services.options.limits.requestBytesMax, code: "request_too_large" }),
  handle: (context) => {
    const options = reader.read(context, false);
    const { limits } = services.options;
    const { ignoresUnknown } = context.route;
    return takeInSteps(context, limits.requestBytesMax, "request_too_large", function* (body) {
      const read = yield* encodeJsonRecords(body, options, limits, ignoresUnknown);
      const headers = { ...options.headers, traced: read.traced };
      const chosen = { ...options, key: options.key ?? read.firstKey, headers };
      append(services, context, chosen, read.records, batchAnswer);
    });
  },
});

/** Batches that the client encoded. */
function produceBatches(
  services: Services,
  context: RequestContext,
  options: ProduceOptions,
): typeof LATER {
  const { limits } = services.options;
  checkBatchOptions(options);
  return takeBytes(context, limits.requestBytesMax, "request_too_large", (body) => {
    const taken = takeBatches(body, options, limits);
    append(services, context, taken.options, taken.records, batchAnswer);
  });
}

/** CloudEvents in structured mode, or a batch of them. */
function produceEvents(
  services: Services,
  context: RequestContext,
  options: ProduceOptions,
  mode: "event" | "batch",
): typeof LATER {
  const { limits } = services.options;
  return takeInSteps(context, limits.requestBytesMax, "request_too_large", function* (body) {
    const records = yield* encodeEvents(body, mode, options, limits);
    append(services, context, options, records, mode === "event" ? singleAnswer : batchAnswer);
  });
}

type Where = (produced: Produced) => string;
const singleAnswer: Where = ({ firstOffset, partition }) =>
  firstOffset === null
    ? placeless(partition)
    : `{"ok":true,"offset":${firstOffset},"partition":${partition}`;
const batchAnswer: Where = ({ firstOffset, count, partition }) =>
  firstOffset === null
    ? placeless(partition)
    : `{"ok":true,"first_offset":${firstOffset},"count":${count},"partition":${partition}`;
/** The duplicate of a write before the last one of its producer. */
const placeless = (partition: number): string => `{"ok":true,"partition":${partition}`;

function append(
  services: Services,
  context: RequestContext,
  options: ProduceOptions,
  records: EncodedRecords,
  where: Where,
): void {
  const parsedAt = options.timing ? performance.now() : 0;
  const { timeoutMs, later } = options;
  if (timeoutMs !== null && timeoutMs > LONG_TIMEOUT_MS) services.allowLong(context.request);
  if (later !== null) {
    appendLater(services, context, options, records);
    return;
  }
  services.node.produce(produceRequest(options, records), (outcome) => {
    if (outcome.ok && outcome.duplicate && outcome.count === 0 && outcome.firstOffset !== null) {
      context.complete(repeatedAnswer(services, outcome, outcome.firstOffset, records.count));
      return;
    }
    context.answer(() => {
      count(services.options.instruments, outcome, records.logicalBytes);
      return answer(services, context, options, outcome, where, parsedAt);
    });
  });
}

/** The answer to a produce that repeats one that was scheduled: as if it had been scheduled too. */
async function repeatedAnswer(
  { node, options }: Services,
  produced: Produced,
  scheduleId: number,
  its: number,
): Promise<Response> {
  // A follower that forwarded the write may not know yet that its records wait.
  await whenCurrent(node);
  const waiting = await options.later?.findScheduled(scheduleId);
  const deliverAtMs = waiting?.deliverAtMs ?? null;
  return scheduledAnswer(
    { ...produced, scheduleId, firstOffset: 0, count: its, deliverAtMs },
    true,
  );
}

/** Schedules the records. */
function appendLater(
  services: Services,
  context: RequestContext,
  options: ProduceOptions,
  records: EncodedRecords,
): void {
  const { topic, partition, key, idempotencyKey, timeoutMs, later, headers } = options;
  const { later: node } = services.options;
  if (node === undefined || later === null) {
    context.fail(new ApiError("unknown_parameter", "This node does not know delay_ms"));
    return;
  }
  const request = { topic, partition, key, idempotencyKey, records, timeoutMs, ...later };
  node.schedule({ ...request, traced: headers.traced }).then(
    (outcome) =>
      context.answer(() => {
        if (outcome.ok) return scheduledAnswer(outcome, idempotencyKey !== null);
        return services.errorMapper.answer(context, outcome, placeOf(topic, partition));
      }),
    (error: unknown) => context.fail(error),
  );
}

function scheduledAnswer(outcome: Scheduled, mayRepeat: boolean): Response {
  const { scheduleId, firstOffset, partition, count: its, deliverAtMs } = outcome;
  const where =
    scheduleId === 0
      ? `{"ok":true,"offset":${firstOffset},"partition":${partition}`
      : `{"ok":true,"scheduled":true,"schedule_id":"${scheduleText(scheduleId)}",` +
        `"deliver_at_ms":${deliverAtMs},"count":${its},"partition":${partition}`;
  const body = where + ackFields(outcome, mayRepeat);
  return outcome.synced === false ? acceptedText(`${body}}`) : jsonText(`${body}}`);
}

function count(instruments: Instruments, outcome: ProduceOutcome, logicalBytes: number): void {
  if (!outcome.ok || outcome.duplicate) return;
  instruments.producedRecords.value += outcome.count;
  instruments.producedBytes.value += logicalBytes;
}

function answer(
  services: Services,
  context: RequestContext,
  options: ProduceOptions,
  outcome: ProduceOutcome,
  where: Where,
  parsedAt: number,
): Response {
  const { topic, partition, producer, idempotencyKey } = options;
  if (!outcome.ok) {
    const about = placeOf(topic, partition) + (producer === null ? "" : numberOf(producer));
    return services.errorMapper.answer(context, outcome, about);
  }
  const mayRepeat = idempotencyKey !== null || producer !== null;
  let body = where(outcome) + ackFields(outcome, mayRepeat);
  if (options.timing) body += timingFields(outcome, context.startedAt, parsedAt);
  return outcome.synced === false ? acceptedText(`${body}}`) : jsonText(`${body}}`);
}

/** Formats the number of a write for messages. */
const numberOf = ({ id, epoch, seq }: ProducerNumber): string =>
  `, producer ${shown(id)}, epoch ${epoch}, seq ${seq}`;

type Acknowledged = Pick<
  Produced,
  "batchId" | "synced" | "ackedBy" | "duplicate" | "committed" | "payloadMatches"
>;

function ackFields(produced: Acknowledged, mayRepeat: boolean): string {
  const { batchId, synced, ackedBy, duplicate } = produced;
  if (duplicate) return duplicateFields(produced);
  const first = mayRepeat ? ',"duplicate":false' : "";
  if (batchId === 0) {
    return `,"batch_id":0,"sealed":false,"durable":false,"mode":"rocket","synced":null${first}`;
  }
  const proven = synced === true;
  return (
    `,"batch_id":${batchId},"sealed":true,"durable":${proven},"mode":"sealed",` +
    `"synced":${proven},"acked_by":${ackedBy}${first}`
  );
}

/**
 * A duplicate is only predicted until its first write is committed. Until then it is not proven.
 */
function duplicateFields({ batchId, synced, committed, payloadMatches }: Acknowledged): string {
  const matches = payloadMatches ? "" : ',"payload_matches":false';
  const ack = synced === false ? "false" : "null";
  if (committed) return `,"sealed":true,"synced":${ack},"duplicate":true${matches}`;
  const mode =
    batchId === 0
      ? '"batch_id":0,"sealed":false,"durable":false,"mode":"rocket"'
      : '"sealed":false,"durable":false,"mode":"sealed"';
  return `,${mode},"synced":${ack},"duplicate":true${matches}`;
}

const micros = (milliseconds: number): number => Math.round(milliseconds * 1000);

function timingFields(produced: Produced, startedAt: number, parsedAt: number): string {
  const now = performance.now();
  return (
    `,"queue_us":${Math.round(produced.queueUs)},"recv_parse_us":${micros(parsedAt - startedAt)},` +
    `"server_us":${micros(now - startedAt)},"produce_us":${micros(now - parsedAt)},` +
    `"sync_wait_us":${Math.round(produced.syncWaitUs)}`
  );
}
