/** Streams that follow a partition: server-sent events or lines of JSON. */
import type { ConsumePage, Rejected } from "../node/api.ts";
import { type AnswerSource, nextTurn, PIECE_BYTES } from "./answer-streams.ts";
import { type ConsumeCall, TOPIC_ID_HEADER } from "./consume-request.ts";
import { wireFields } from "./details.ts";
import {
  countConsumed,
  EVENTS_FRAMING,
  type Framing,
  LINES_FRAMING,
  PageWriter,
} from "./page-writer.ts";
import { decimal } from "./raw-url.ts";
import type { RequestContext } from "./request-context.ts";
import { headOfPieces, messageOf, placeOf } from "./responses.ts";
import type { Services } from "./services.ts";
import { singleHeader } from "./single-header.ts";

/** Interval of the comments that keep proxies from closing a silent stream. */
const COMMENT_INTERVAL_MS = 15_000;
/** Records of one piece. The next ones wait until the client has read these. */
const CHUNK_RECORDS = 1000;

type Format = {
  readonly framing: Framing;
  readonly contentType: string;
  readonly comment: string;
  /** Written before the stream ends because of an error of the node. */
  readonly failure: (rejection: Rejected, about: string) => string;
};
/** @param about the value that was wrong, for the message. */
function failureBody(rejection: Rejected, about: string): string {
  const { code, details } = rejection;
  return JSON.stringify({
    ok: false,
    error: code,
    message: messageOf(rejection, about),
    ...(details && wireFields(details)),
  });
}
const EVENTS: Format = {
  framing: EVENTS_FRAMING,
  contentType: "text/event-stream",
  comment: ": still here\n\n",
  failure: (...rejection) => `event: error\ndata: ${failureBody(...rejection)}\n\n`,
};
const LINES: Format = {
  framing: LINES_FRAMING,
  contentType: "application/x-ndjson",
  comment: "\n",
  failure: (...rejection) => `${failureBody(...rejection)}\n`,
};

const writer = new PageWriter();

export async function follow(
  services: Services,
  context: RequestContext,
  consume: ConsumeCall,
  events: boolean,
): Promise<Response> {
  const format = events ? EVENTS : LINES;
  const offset = (events ? offsetAfterLastEvent(context) : null) ?? consume.request.offset;
  const asked = { ...consume.request, offset, limit: CHUNK_RECORDS, maxBytes: PIECE_BYTES };
  const first = await services.node.consume(asked);
  const headers = new Headers({
    "content-type": format.contentType,
    "cache-control": "no-store",
    // nginx buffers responses unless this header disables it.
    "x-accel-buffering": "no",
  });
  const about = placeOf(asked.topic, asked.partition);
  if (!first.ok) {
    // A position of another life of the topic is told in the stream, where a reader goes on.
    if (first.code === "offset_out_of_range") {
      return context.isHead
        ? headOfPieces(headers)
        : new Response(format.failure(first, about), { headers });
    }
    return services.errorMapper.answer(context, first, about);
  }
  if (consume.tellsTopicId) headers.set(TOPIC_ID_HEADER, String(first.topicId));
  if (context.isHead) return headOfPieces(headers);
  // The group matters to the first position only. Followers without one can share their pages.
  const request = { ...asked, group: "", topicId: first.topicId, follows: true };
  const limits = { ...consume.limits, limit: CHUNK_RECORDS, maxBytes: Number.MAX_SAFE_INTEGER };
  const follower = new Follower(
    services,
    { ...consume, request, limits },
    format,
    first.startOffset,
  );
  return services.answers.stream(context.request, follower, { headers });
}

/**
 * Returns the offset after `Last-Event-ID`, which a browser adds to the same URL when it
 * reconnects.
 */
function offsetAfterLastEvent(context: RequestContext): number | null {
  const id = singleHeader(context.request.headers, "Last-Event-ID", "invalid_parameter");
  // A browser sends an empty id after an event whose id was empty.
  return id === null || id === ""
    ? null
    : decimal(id, "Last-Event-ID", 0, Number.MAX_SAFE_INTEGER - 1) + 1;
}

/** A stream continues only in the topic of its first page, not in a later one of the same name. */
type FollowedCall = ConsumeCall & { readonly request: { readonly topicId: number } };

class Follower implements AnswerSource {
  readonly #services: Services;
  readonly #consume: FollowedCall;
  readonly #format: Format;
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  #next: number;
  #spokeAt = Number.NEGATIVE_INFINITY;
  #failed = false;

  constructor(services: Services, consume: FollowedCall, format: Format, start: number) {
    this.#services = services;
    this.#consume = consume;
    this.#format = format;
    this.#next = start;
    this.#signal = AbortSignal.any([services.stopping, this.#ended.signal]);
    services.followLimit.begin();
  }

  ended(): void {
    this.#services.followLimit.end();
    this.#ended.abort();
  }

  async next(): Promise<Uint8Array | null> {
    await nextTurn();
    while (!this.#signal.aborted && !this.#failed) {
      const chunk = (await this.#read()) ?? (await this.#wait());
      if (chunk === null) continue;
      this.#spokeAt = performance.now();
      return chunk;
    }
    return null;
  }

  /** @returns null if there is nothing to read yet. */
  #read(): Promise<Uint8Array | null> {
    const { node, answers } = this.#services;
    return answers.piece(
      this.#signal,
      () => node.consume({ ...this.#consume.request, offset: this.#next }),
      (page) => {
        if (page.ok) return this.#chunk(page);
        this.#failed = true;
        const { topic, partition } = this.#consume.request;
        return new TextEncoder().encode(this.#format.failure(page, placeOf(topic, partition)));
      },
    );
  }

  #chunk(page: ConsumePage): Uint8Array | null {
    writer.begin();
    writer.messages(page, this.#consume.limits, this.#format.framing, PIECE_BYTES);
    this.#next = writer.nextOffset;
    countConsumed(this.#services.options.instruments, writer);
    return writer.newRecords === 0 ? null : writer.written.slice();
  }

  /**
   * Waits until there may be a record. Returns a comment if one is due; the first is due
   * immediately.
   */
  async #wait(): Promise<Uint8Array | null> {
    const silentMs = this.#silentMs();
    if (silentMs >= COMMENT_INTERVAL_MS) return this.#comment();
    const { topic, partition, topicId } = this.#consume.request;
    await this.#services.node.waitForRecords({
      topic,
      partition,
      topicId,
      offset: this.#next,
      timeoutMs: Math.ceil(COMMENT_INTERVAL_MS - silentMs),
      signal: this.#signal,
    });
    // A wait that lasted until the comment was due brought no record: that read is left out.
    return this.#silentMs() >= COMMENT_INTERVAL_MS ? this.#comment() : null;
  }

  #silentMs(): number {
    return performance.now() - this.#spokeAt;
  }

  #comment(): Uint8Array {
    const comment = new TextEncoder().encode(this.#format.comment);
    this.#services.answers.budget.add(comment.length);
    return comment;
  }
}
