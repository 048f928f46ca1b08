import { CONSUME_QUERY, PAGE } from "../../api/consume.ts";
import type { ConsumePage, Rejected } from "../../node/api.ts";
import { ONE_WRITE_BYTES_MAX, PIECE_BYTES } from "../answer-streams.ts";
import { BATCH_PAGE_HEADERS, BATCHES_TYPE, batchPage } from "../batch-page.ts";
import { EVENT_BATCH_TYPE } from "../cloud-events.ts";
import { type ConsumeCall, forBatches, readConsume, TOPIC_ID_HEADER } from "../consume-request.ts";
import { startAtTime } from "../consume-time.ts";
import { EVENT_PAGE_HEADERS, eventPage } from "../event-page.ts";
import { follow } from "../follow.ts";
import { isComplete, LargePage, PAGE_START, pageEnd, withinPage } from "../large-page.ts";
import { ANSWERS_FULL } from "../middleware.ts";
import { ARRAY_FRAMING, countConsumed, PageWriter } from "../page-writer.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { hotJson, placeOf } from "../responses.ts";
import type { Services } from "../services.ts";
import { streamedJson } from "../streamed-json.ts";

const writer = new PageWriter();

/** Media types of a page, the default first. */
const PAGE_OFFERS = [
  "application/json",
  "text/event-stream",
  EVENT_BATCH_TYPE,
  BATCHES_TYPE,
] as const;
/** Media types with `follow=1`, the default first. */
const FOLLOW_OFFERS = [
  "application/x-ndjson",
  "text/event-stream",
  "application/json",
  EVENT_BATCH_TYPE,
  BATCHES_TYPE,
] as const;

export function consumeEndpoints(services: Services): readonly Endpoint[] {
  return [
    {
      method: "GET",
      path: "/broker/consume/:topic/:group/:partition",
      access: { kind: "path", scope: "read" },
      leaderOnly: false,
      isHot: true,
      query: CONSUME_QUERY,
      docs: {
        summary:
          "Read a page of messages, or follow them (text/event-stream, application/x-ndjson)",
        tag: "consume",
        answer: PAGE,
        mediaTypes: ["text/event-stream", "application/x-ndjson", EVENT_BATCH_TYPE, BATCHES_TYPE],
        answerHeaders: { ...EVENT_PAGE_HEADERS, ...BATCH_PAGE_HEADERS },
        requestHeaders: {
          "Last-Event-ID": "In a stream: goes on behind this offset",
          "Ayder-Topic-Id":
            "The `Ayder-Topic-Id` of the answer before, or 0: a topic that was created again is refused",
        },
        errors: [
          "invalid_topic",
          "invalid_group",
          "topic_not_found",
          "partition_not_found",
          "offset_out_of_range",
          "data_damaged",
        ],
      },
      handle: (context) => consume(services, context),
    },
  ];
}

function consume(services: Services, context: RequestContext): Promise<Response> {
  const asked = readConsume(context, services.compat);
  return asked.fromMs === null
    ? answerFrom(services, context, asked)
    : answerFromTime(services, context, asked, asked.fromMs);
}

async function answerFromTime(
  services: Services,
  context: RequestContext,
  asked: ConsumeCall,
  timeMs: number,
): Promise<Response> {
  const placed = await startAtTime(services, asked, timeMs);
  if ("code" in placed) return rejected(services, context, asked, placed);
  return await answerFrom(services, context, placed);
}

/** Not an async function, so that most reads need a single promise. */
function answerFrom(
  services: Services,
  context: RequestContext,
  placed: ConsumeCall,
): Promise<Response> {
  const mediaType = context.preferred(placed.follow ? FOLLOW_OFFERS : PAGE_OFFERS);
  if (mediaType === "application/json") return readPage(services, context, placed);
  if (mediaType === BATCHES_TYPE) return readPage(services, context, forBatches(placed));
  if (mediaType === EVENT_BATCH_TYPE)
    return readPage(services, context, { ...placed, asEvents: true });
  return follow(services, context, placed, mediaType === "text/event-stream");
}

async function readPage(
  services: Services,
  context: RequestContext,
  consume: ConsumeCall,
): Promise<Response> {
  const page = await services.node.consume(consume.request);
  if (!page.ok) return rejected(services, context, consume, page);
  const waits = consume.waitMs > 0 && isEmpty(page) && !context.isHead;
  return waits
    ? await wait(services, context, consume, page)
    : answerOf(services, context, consume, page);
}

const rejected = (
  { errorMapper }: Services,
  context: RequestContext,
  { request: { topic, partition, offset } }: ConsumeCall,
  rejection: Rejected,
): Response => {
  const at = rejection.code === "offset_out_of_range" ? `, offset ${offset}` : "";
  return errorMapper.answer(context, rejection, placeOf(topic, partition) + at);
};

const isEmpty = (page: ConsumePage): boolean => page.endOffset <= page.startOffset;

/** Responds when there is a record, or with an empty page after `wait_ms`. */
async function wait(
  services: Services,
  context: RequestContext,
  consume: ConsumeCall,
  first: ConsumePage,
): Promise<Response> {
  const { request, waitMs } = consume;
  const { topic, partition } = request;
  services.allowLong(context.request);
  const signal = AbortSignal.any([context.request.signal, services.stopping]);
  const until = performance.now() + waitMs;
  // An explicit offset is a position in this topic, not in a later one of the same name.
  const same = request.offset === null ? request : { ...request, topicId: first.topicId };
  let page = first;
  for (;;) {
    const timeoutMs = Math.ceil(until - performance.now());
    if (timeoutMs <= 0 || signal.aborted || !isEmpty(page)) break;
    await services.node.waitForRecords({
      topic,
      partition,
      topicId: page.topicId,
      offset: page.startOffset,
      timeoutMs,
      signal,
    });
    const next = await services.node.consume({ ...same, follows: true });
    if (!next.ok) return rejected(services, context, consume, next);
    page = next;
  }
  return answerOf(services, context, consume, page);
}

function answerOf(
  services: Services,
  context: RequestContext,
  consume: ConsumeCall,
  page: ConsumePage,
): Response {
  const answer = pageAnswer(services, context, consume, page);
  if (consume.tellsTopicId) answer.headers.set(TOPIC_ID_HEADER, String(page.topicId));
  return answer;
}

function eventAnswer({ options }: Services, consume: ConsumeCall, page: ConsumePage): Response {
  const { response, records, bytes } = eventPage(consume, page);
  options.instruments.consumedRecords.value += records;
  options.instruments.consumedBytes.value += bytes;
  return response;
}

function batchesAnswer(
  { options, compat }: Services,
  consume: ConsumeCall,
  page: ConsumePage,
): Response {
  const { response, records, logicalBytes } = batchPage(compat, consume, page);
  options.instruments.consumedRecords.value += records;
  options.instruments.consumedBytes.value += logicalBytes;
  return response;
}

const mayBeLarge = ({ slices }: ConsumePage): boolean =>
  slices.length > 0 && slices.reduce((sum, { length }) => sum + length, 0) > ONE_WRITE_BYTES_MAX;

function pageAnswer(
  services: Services,
  context: RequestContext,
  consume: ConsumeCall,
  page: ConsumePage,
): Response {
  const { budget } = services.answers;
  if (consume.asBatches === true) return batchesAnswer(services, consume, page);
  if (consume.asEvents === true) return eventAnswer(services, consume, page);
  // Rejected before it costs anything: a large page consists of long messages, or of many.
  if (mayBeLarge(page) && !budget.hasRoom(PIECE_BYTES)) {
    services.options.instruments.answersRefused.value++;
    return services.errorMapper.overloaded(ANSWERS_FULL);
  }
  writer.begin();
  writer.text(PAGE_START);
  writer.messages(page, withinPage(consume.limits), ARRAY_FRAMING, PIECE_BYTES);
  countConsumed(services.options.instruments, writer);
  if (isComplete(writer)) {
    writer.text(pageEnd(services, page, writer));
    return hotJson(context.request, writer.written);
  }
  if (!context.isHead && !budget.take(writer.written.length)) {
    return services.errorMapper.overloaded(ANSWERS_FULL);
  }
  return streamedJson(services, context, () => new LargePage(services, consume, page, writer));
}
