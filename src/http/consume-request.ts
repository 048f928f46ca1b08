import { CONSUME_QUERY } from "../api/consume.ts";
import type { ConsumeRequest } from "../node/api.ts";
import { PIECE_BYTES } from "./answer-streams.ts";
import type { Compat } from "./compat.ts";
import { ApiError } from "./errors.ts";
import type { PageLimits } from "./page-writer.ts";
import { queryReader } from "./query.ts";
import { decimal } from "./raw-url.ts";
import type { RequestContext } from "./request-context.ts";
import { singleHeader } from "./single-header.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const PAGE_BYTES_DEFAULT = 4 * 1024 * 1024;
/** The same for a page of batches, which is not made in pieces. */
const BATCHES_BYTES_MAX = PAGE_BYTES_DEFAULT;
/** A larger `max_bytes` counts as this much. */
const PAGE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Request header with the id of the topic that an offset is of, so that a topic which was deleted and
 * created again is not taken for it; 0 if the reader does not know it yet. The answer then has it.
 */
export const TOPIC_ID_HEADER = "ayder-topic-id";

export type ConsumeCall = {
  readonly request: ConsumeRequest;
  /** The answer says which topic it is of. */
  readonly tellsTopicId: boolean;
  readonly limits: PageLimits;
  readonly waitMs: number;
  readonly follow: boolean;
  /** Where to start by time; null: as the request says. */
  readonly fromMs: number | null;
  /** The answer is a batch of CloudEvents. */
  readonly asEvents?: true;
  /** The answer is the batches as they are stored. */
  readonly asBatches?: true;
};

const readQuery = queryReader(CONSUME_QUERY);

export function readConsume(context: RequestContext, compat: Compat): ConsumeCall {
  const topic = context.path("topic");
  const group = context.path("group");
  const partition = context.path("partition");
  const query = readQuery(context, { offset: compat.readOffset });
  const { offset, limit, encoding, max_bytes, consistency, from_ms: fromMs } = query;
  if (fromMs !== null && offset !== null) {
    throw new ApiError("invalid_parameter", "offset and from_ms were both given: name one of them");
  }
  const limits = {
    partition,
    limit: Math.min(limit ?? LIMIT_DEFAULT, LIMIT_MAX),
    maxBytes: Math.min(max_bytes ?? PAGE_BYTES_DEFAULT, PAGE_BYTES_MAX),
    base64: encoding !== null,
  };
  const topicId = topicIdOf(context);
  return {
    limits,
    tellsTopicId: topicId !== null,
    request: {
      topic,
      partition,
      group,
      topicId: topicId === 0 ? null : topicId,
      offset,
      limit: limits.limit,
      maxBytes: Math.min(limits.maxBytes, PIECE_BYTES),
      linearizable: (consistency ?? compat.consistency) === "linearizable",
    },
    waitMs: query.wait_ms ?? 0,
    follow: query.follow === "1",
    fromMs,
  };
}

/** The same request for batches: the answer has all bytes of the page, and says which topic it is of. */
export const forBatches = (call: ConsumeCall): ConsumeCall => ({
  ...call,
  asBatches: true,
  tellsTopicId: false,
  request: { ...call.request, maxBytes: Math.min(call.limits.maxBytes, BATCHES_BYTES_MAX) },
});

/** Null without the header. */
function topicIdOf({ request }: RequestContext): number | null {
  const id = singleHeader(request.headers, TOPIC_ID_HEADER, "invalid_parameter");
  return id === null ? null : decimal(id, "Ayder-Topic-Id");
}
