/** Server-sent events of a stream: each `data` event is followed by a `control` event. */
import { utf8 } from "../../lib/bytes.ts";
import { isTextType } from "../../lib/media-type.ts";
import type { StreamPage } from "../../node/api.ts";
import { type AnswerSource, nextTurn, PIECE_BYTES } from "../answer-streams.ts";
import type { RequestContext } from "../request-context.ts";
import { DATA_ENCODING, rejection } from "./answers.ts";
import { nextCursor } from "./cursor.ts";
import type { DurableServices } from "./services.ts";
import { touchAtLeader } from "./touch.ts";

/** Bytes of the records in one event. The text of an event can be twice as long. */
const EVENT_BYTES = PIECE_BYTES / 2;
/** A silent reader uses its stream at least this often within its time to live. */
const TOUCHES_PER_LIFE = 3;

type Call = { readonly path: string; readonly offset: string; readonly cursor: string | null };

export async function events(
  services: DurableServices,
  context: RequestContext,
  call: Call,
): Promise<Response> {
  const { path, offset } = call;
  const request = { path, offset, maxBytes: EVENT_BYTES, streamId: null };
  const first = await services.durable.readStream(request);
  if (!first.ok) return rejection(services, context, first, path);
  if (first.touchDue) await touchAtLeader(services, context);
  const isText = isTextType(first.contentType);
  const headers = new Headers({
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    // nginx buffers responses unless this header disables it.
    "x-accel-buffering": "no",
  });
  if (!isText) headers.set(DATA_ENCODING, "base64");
  const source = new EventSource(services, context, call, first, isText);
  return services.answers.stream(context.request, source, { headers });
}

class EventSource implements AnswerSource {
  readonly #services: DurableServices;
  readonly #context: RequestContext;
  readonly #call: Call;
  readonly #isText: boolean;
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  /** A page that was read and not sent yet. */
  #page: StreamPage | null;
  #next: string;
  #nextRecord: number;
  readonly #streamId: number;
  readonly #waitMs: number;
  #isDone = false;

  constructor(
    services: DurableServices,
    context: RequestContext,
    call: Call,
    first: StreamPage,
    isText: boolean,
  ) {
    this.#services = services;
    this.#context = context;
    this.#call = call;
    this.#isText = isText;
    this.#signal = AbortSignal.any([services.stopping, this.#ended.signal]);
    this.#page = first;
    this.#next = first.nextOffset;
    this.#nextRecord = first.next;
    this.#streamId = first.streamId;
    const { longPollMs } = services;
    const lifeMs = (first.ttlSeconds ?? Number.POSITIVE_INFINITY) * 1000;
    this.#waitMs = Math.max(1, Math.min(longPollMs, lifeMs / TOUCHES_PER_LIFE));
    services.followLimit.begin();
  }

  ended(): void {
    this.#services.followLimit.end();
    this.#ended.abort();
  }

  async next(): Promise<Uint8Array | null> {
    await nextTurn();
    if (this.#isDone || this.#signal.aborted) return null;
    const page = this.#page ?? (await this.#more());
    this.#page = null;
    if (page === null || this.#signal.aborted) return null;
    this.#next = page.nextOffset;
    this.#nextRecord = page.next;
    // After the last event the connection ends, so that clients do not come back.
    this.#isDone = page.closed;
    const bytes = utf8(this.#dataOf(page) + this.#controlOf(page));
    this.#services.answers.budget.add(bytes.length);
    return bytes;
  }

  /** Waits if there is nothing to read. @returns null if the stream does not exist any more. */
  async #more(): Promise<StreamPage | null> {
    const { durable } = this.#services;
    await durable.waitForStream({
      streamId: this.#streamId,
      offset: this.#nextRecord,
      timeoutMs: this.#waitMs,
      signal: this.#signal,
    });
    if (this.#signal.aborted) return null;
    const { path } = this.#call;
    const request = { path, offset: this.#next, maxBytes: EVENT_BYTES, streamId: this.#streamId };
    const page = await durable.readStream(request);
    if (!page.ok) return null;
    if (page.touchDue) await touchAtLeader(this.#services, this.#context);
    return page;
  }

  #dataOf(page: StreamPage): string {
    if (page.count === 0) return "";
    const lines = this.#isText
      ? dataLines(decoder.decode(page.body))
      : `data:${base64Of(page.body)}`;
    return `event: data\n${lines}\n\n`;
  }

  #controlOf(page: StreamPage): string {
    const control: Record<string, string | boolean> = { streamNextOffset: page.nextOffset };
    if (page.closed) control["streamClosed"] = true;
    else {
      control["streamCursor"] = nextCursor(this.#call.cursor, Date.now());
      if (page.upToDate) control["upToDate"] = true;
    }
    return `event: control\ndata:${JSON.stringify(control)}\n\n`;
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const LINE_END = /\r\n|\r|\n/;

const base64Of = ({ buffer, byteOffset, length }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, length).toString("base64");

/** A client removes one space after the colon, so a line that begins with one gets another. */
const dataLines = (text: string): string =>
  text
    .split(LINE_END)
    .map((line) => `data:${line.startsWith(" ") ? " " : ""}${line}`)
    .join("\n");
