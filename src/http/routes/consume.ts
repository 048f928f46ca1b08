import type { ConsumePage, Rejected } from "../../node/api.ts";
import { jsonText, placeOf } from "../answers.ts";
import type { Call, Endpoint } from "../call.ts";
import { type ConsumeCall, readConsume } from "../consume-request.ts";
import type { Edge } from "../edge.ts";
import { follow } from "../follow.ts";
import { ARRAY_FRAMING, countConsumed, PageWriter } from "../page-writer.ts";
import { CONSUME_QUERY, PAGE } from "../schemas.ts";

const writer = new PageWriter();

export function consumeEndpoints(edge: Edge): readonly Endpoint[] {
  return [
    {
      method: "GET",
      path: "/broker/consume/:topic/:group/:partition",
      access: { kind: "path", scope: "read" },
      query: CONSUME_QUERY,
      docs: {
        summary:
          "Read a page of messages, or follow them (text/event-stream, application/x-ndjson)",
        tag: "consume",
        answer: PAGE,
        mediaTypes: ["text/event-stream", "application/x-ndjson"],
        requestHeaders: { "Last-Event-ID": "In a stream: goes on behind this offset" },
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
        const consume = readConsume(call);
        const events = call.accepts("text/event-stream");
        if (events || (consume.follow && call.accepts("application/x-ndjson"))) {
          return await follow(edge, call, consume, events);
        }
        const page = await edge.node.consume(consume.request);
        if (!page.ok) return rejected(edge, call, consume, page);
        const waits = consume.waitMs > 0 && isEmpty(page) && !call.isHead;
        return waits ? await wait(edge, call, consume, page) : pageAnswer(edge, consume, page);
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
      offset: page.startOffset,
      timeoutMs,
      signal,
    });
    const next = await edge.node.consume(same);
    if (!next.ok) return rejected(edge, call, consume, next);
    page = next;
  }
  return pageAnswer(edge, consume, page);
}

function pageAnswer(edge: Edge, { limits }: ConsumeCall, page: ConsumePage): Response {
  writer.begin();
  writer.text('{"messages":[');
  writer.messages(page, limits, ARRAY_FRAMING);
  countConsumed(edge.options.instruments, writer);
  const { committedOffset, lowWatermark, endOffset } = page;
  const committed = edge.compat.fromNextOffset(committedOffset, lowWatermark);
  writer.text(
    `],"count":${writer.count},"next_offset":${writer.nextOffset},"committed_offset":${committed},` +
      `"truncated":${writer.truncated},"low_watermark":${lowWatermark},"end_offset":${endOffset}}`,
  );
  return jsonText(writer.written);
}
