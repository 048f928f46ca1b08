/** Streams a page that is too large for one buffer. Each piece is made when it can be sent. */
import type { ConsumePage } from "../node/api.ts";
import { type AnswerSource, nextTurn, PIECE_BYTES } from "./answer-streams.ts";
import type { ConsumeCall } from "./consume-request.ts";
import {
  ARRAY_FRAMING,
  countConsumed,
  type PageLimits,
  type PageProgress,
  PageWriter,
} from "./page-writer.ts";
import type { Services } from "./services.ts";

export const PAGE_START = '{"messages":[';
/** Upper bound of the length of `pageEnd`. */
const PAGE_END_BYTES_MAX = 176;

/** `max_bytes` applies to the whole response. */
export const withinPage = (limits: PageLimits): PageLimits => ({
  ...limits,
  maxBytes: limits.maxBytes - PAGE_END_BYTES_MAX,
});

/** True if the page is complete. */
export const isComplete = ({ stop, newRecords }: PageWriter): boolean =>
  stop === "limit" ||
  stop === "bytes" ||
  stop === "end" ||
  (stop === "drained" && newRecords === 0);

/** Returns the JSON after the messages. @param page as it was when the request arrived. */
export function pageEnd(
  { compat }: Services,
  { committedOffset, lowWatermark, endOffset }: ConsumePage,
  { count, nextOffset, truncated }: Pick<PageWriter, "count" | "nextOffset" | "truncated">,
): string {
  const committed = compat.fromNextOffset(committedOffset, lowWatermark);
  return (
    `],"count":${count},"next_offset":${nextOffset},"committed_offset":${committed},` +
    `"truncated":${truncated},"low_watermark":${lowWatermark},"end_offset":${endOffset}}`
  );
}

const writer = new PageWriter();

export class LargePage implements AnswerSource {
  readonly #services: Services;
  readonly #consume: ConsumeCall;
  readonly #limits: PageLimits;
  /** The first read. Its end offset is the end of the page. */
  readonly #first: ConsumePage;
  /** The remainder of the last read; null if the next piece needs another read. */
  #page: ConsumePage | null;
  #piece: Uint8Array | null;
  #progress: PageProgress;
  #done = false;
  readonly #ended = new AbortController();

  /**
   * @param begun the writer with the beginning of the page, which is already charged to the budget.
   */
  constructor(services: Services, consume: ConsumeCall, first: ConsumePage, begun: PageWriter) {
    this.#services = services;
    this.#consume = consume;
    this.#limits = withinPage(consume.limits);
    this.#first = first;
    this.#piece = begun.written.slice();
    this.#progress = progressOf(begun);
    this.#page = begun.stop === "piece" ? first : null;
  }

  ended(): void {
    this.#services.answers.budget.give(this.#piece?.length ?? 0);
    this.#piece = null;
    this.#ended.abort();
  }

  async next(): Promise<Uint8Array | null> {
    const piece = this.#piece;
    this.#piece = null;
    if (piece !== null || this.#done) return piece;
    // Lets heartbeats and other requests run between two pieces.
    await nextTurn();
    return await this.#services.answers.piece(
      this.#ended.signal,
      async () => this.#page ?? (await this.#read()),
      (page) => this.#write(page),
    );
  }

  #write(page: ConsumePage | null): Uint8Array {
    writer.begin();
    if (page === null) return this.#finish(true);
    writer.messages(page, this.#limits, ARRAY_FRAMING, PIECE_BYTES, this.#progress);
    countConsumed(this.#services.options.instruments, writer);
    this.#progress = progressOf(writer);
    this.#page = writer.stop === "piece" ? page : null;
    return isComplete(writer) ? this.#finish(writer.truncated) : writer.written.slice();
  }

  /** @returns null if the remainder cannot be read. The page then ends early. */
  async #read(): Promise<ConsumePage | null> {
    const { count, nextOffset } = this.#progress;
    const page = await this.#services.node.consume({
      ...this.#consume.request,
      topicId: this.#first.topicId,
      offset: nextOffset,
      limit: this.#limits.limit - count,
      linearizable: false,
    });
    if (!page.ok) return null;
    // Records may have been deleted since the last piece.
    const next = Math.max(nextOffset, Math.min(page.startOffset, this.#first.endOffset));
    this.#progress = { ...this.#progress, nextOffset: next };
    return { ...page, endOffset: this.#first.endOffset };
  }

  #finish(truncated: boolean): Uint8Array {
    this.#done = true;
    const { count, nextOffset } = this.#progress;
    writer.text(pageEnd(this.#services, this.#first, { count, nextOffset, truncated }));
    return writer.written.slice();
  }
}

const progressOf = ({ count, nextOffset, writtenBytes }: PageWriter): PageProgress => ({
  count,
  nextOffset,
  writtenBytes,
});
