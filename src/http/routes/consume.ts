import type { ConsumePage, Rejected } from "../../node/api.ts";
import { ONE_WRITE_BYTES_MAX, PIECE_BYTES } from "../answer-streams.ts";
import { headOfPieces, hotJson, placeOf } from "../answers.ts";
import type { Call, Endpoint } from "../call.ts";
import { markEncoded } from "../compression.ts";
import { type ConsumeCall, readConsume, TOPIC_ID_HEADER } from "../consume-request.ts";
import { startAtTime } from "../consume-time.ts";
import type { Edge } from "../edge.ts";
import { follow } from "../follow.ts";
import { ANSWERS_FULL } from "../gate.ts";
import { isComplete, LargePage, PAGE_START, pageEnd, withinPage } from "../large-page.ts";
import { ARRAY_FRAMING, countConsumed, PageWriter } from "../page-writer.ts";
import { CONSUME_QUERY, PAGE } from "../schemas.ts";

const writer = new PageWriter();

/** What a read can be answered with, the default first. */
const PAGE_OFFERS = ["application/json", "text/event-stream"] as const;
/** The same with `follow=1`. */
const FOLLOW_OFFERS = ["application/x-ndjson", "text/event-stream", "application/json"] as const;

export function consumeEndpoints(edge: Edge): readonly Endpoint[] {
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
        mediaTypes: ["text/event-stream", "application/x-ndjson"],
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
      handle: async (call) => {
        const asked = readConsume(call, edge.compat);
        const { fromMs } = asked;
        const consume = fromMs === null ? asked : await startAtTime(edge, asked, fromMs);
        if ("code" in consume) return rejected(edge, call, asked, consume);
        const mediaType = call.preferred(consume.follow ? FOLLOW_OFFERS : PAGE_OFFERS);
        if (mediaType !== "application/json") {
          return await follow(edge, call, consume, mediaType === "text/event-stream");
        }
        const page = await edge.node.consume(consume.request);
        if (!page.ok) return rejected(edge, call, consume, page);
        const waits = consume.waitMs > 0 && isEmpty(page) && !call.isHead;
        return waits ? await wait(edge, call, consume, page) : answerOf(edge, call, consume, page);
      },
    },
  ];
}

const rejected = (
  { rejections }: Edge,
  call: Call,
  { request: { topic, partition, offset } }: ConsumeCall,
  rejection: Rejected,
): Response => {
  const at = rejection.code === "offset_out_of_range" ? `, offset ${offset}` : "";
  return rejections.answer(call, rejection, placeOf(topic, partition) + at);
};

const isEmpty = (page: ConsumePage): boolean => page.endOffset <= page.startOffset;

/** Answers as soon as there is a record, or with the empty page when the time is over. */
async function wait(
  edge: Edge,
  call: Call,
  consume: ConsumeCall,
  first: ConsumePage,
): Promise<Response> {
  const { request, waitMs } = consume;
  const { topic, partition } = request;
  edge.allowLong(call.request);
  const signal = AbortSignal.any([call.request.signal, edge.stopping]);
  const until = performance.now() + waitMs;
  // An explicit offset is a position in this topic, not in a later one of the same name.
  const same = request.offset === null ? request : { ...request, topicId: first.topicId };
  let page = first;
  for (;;) {
    const timeoutMs = Math.ceil(until - performance.now());
    if (timeoutMs <= 0 || signal.aborted || !isEmpty(page)) break;
    await edge.node.waitForRecords({
      topic,
      partition,
      topicId: page.topicId,
      offset: page.startOffset,
      timeoutMs,
      signal,
    });
    const next = await edge.node.consume(same);
    if (!next.ok) return rejected(edge, call, consume, next);
    page = next;
  }
  return answerOf(edge, call, consume, page);
}

function answerOf(edge: Edge, call: Call, consume: ConsumeCall, page: ConsumePage): Response {
  const answer = pageAnswer(edge, call, consume, page);
  if (consume.tellsTopicId) answer.headers.set(TOPIC_ID_HEADER, String(page.topicId));
  return answer;
}

const mayBeLarge = ({ slices }: ConsumePage): boolean =>
  slices.length > 0 && slices.reduce((sum, { length }) => sum + length, 0) > ONE_WRITE_BYTES_MAX;

function pageAnswer(edge: Edge, call: Call, consume: ConsumeCall, page: ConsumePage): Response {
  const { budget } = edge.answers;
  // Refused before it costs anything: a large page is made of long messages, or of many.
  if (mayBeLarge(page) && !budget.hasRoom(PIECE_BYTES)) {
    edge.options.instruments.answersRefused.value++;
    return edge.rejections.overloaded(ANSWERS_FULL);
  }
  writer.begin();
  writer.text(PAGE_START);
  writer.messages(page, withinPage(consume.limits), ARRAY_FRAMING, PIECE_BYTES);
  countConsumed(edge.options.instruments, writer);
  if (isComplete(writer)) {
    writer.text(pageEnd(edge, page, writer));
    return hotJson(call.request, writer.written);
  }
  const headers = new Headers({ "content-type": "application/json", vary: "accept-encoding" });
  const coding = edge.compression.codingFor(call.request);
  if (call.isHead) {
    if (coding !== null) markEncoded(headers, coding);
    return headOfPieces(headers);
  }
  if (!budget.take(writer.written.length)) return edge.rejections.overloaded(ANSWERS_FULL);
  const plain = new LargePage(edge, consume, page, writer);
  const compressed = coding === null ? null : edge.compression.source(coding, plain, true);
  if (coding !== null && compressed !== null) markEncoded(headers, coding);
  return edge.answers.stream(call.request, compressed ?? plain, { headers });
}
