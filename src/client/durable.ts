/** Durable streams. Clients of the protocol itself exist in many languages; this one has what Ayder adds. */
import type { DurableList, StreamDetails } from "../api/durable.ts";
import { fields, flag, integer, list, orNull, text } from "./shape.ts";
import type { CallOptions, Transport } from "./transport.ts";
import { segment } from "./url.ts";
import { camel, decodeText } from "./values.ts";

const SUMMARY = {
  path: text,
  content_type: text,
  next_offset: text,
  records: integer,
  bytes: integer,
  closed: flag,
  deleted: flag,
  forked_from: orNull(text),
  ttl_seconds: orNull(integer),
  expires_at_ms: orNull(integer),
} as const;
const DETAILS = fields<StreamDetails>({
  ...SUMMARY,
  fork_offset: orNull(text),
  fork_sub_offset: orNull(integer),
  forks: integer,
  last_seq: orNull(text),
  last_use_ms: integer,
  producers: list(
    fields<StreamDetails["producers"][number]>({
      producer_id: text,
      epoch: integer,
      seq: integer,
      last_write_ms: integer,
    }),
  ),
  producers_total: integer,
});
const LIST = fields<DurableList>({
  streams: list(fields<DurableList["streams"][number]>(SUMMARY)),
  next: orNull(text),
  total: integer,
});

export type DurableStreamSummary = {
  readonly path: string;
  readonly contentType: string;
  readonly nextOffset: string;
  /** Records of its own, without those that it shares with its parent. */
  readonly records: number;
  readonly bytes: number;
  readonly closed: boolean;
  /** Retained for its forks only. */
  readonly deleted: boolean;
  readonly forkedFrom: string | null;
  readonly ttlSeconds: number | null;
  readonly expiresAtMs: number | null;
};

export type DurableStreamDetails = DurableStreamSummary & {
  /** Where the fork begins; null if the stream is not one. */
  readonly forkOffset: string | null;
  readonly forkSubOffset: number | null;
  /** Streams that were forked from it and still exist. */
  readonly forks: number;
  /** The highest `Stream-Seq`. */
  readonly lastSeq: string | null;
  readonly lastUseMs: number;
  /** At most 1000, the last write first. */
  readonly producers: readonly {
    readonly producerId: string;
    readonly epoch: number;
    readonly seq: number;
    readonly lastWriteMs: number;
  }[];
  readonly producersTotal: number;
};

export type DurableForkOptions = CallOptions & {
  /** An offset that the server gave. @default the end of the source */
  readonly offset?: string | undefined;
  /** Records of a JSON stream behind the offset, or bytes of the record there. @default 0 */
  readonly subOffset?: number | undefined;
  /** @default that of the source */
  readonly ttlSeconds?: number | undefined;
};

export type DurableStreamOptions = CallOptions & {
  /** @default application/octet-stream */
  readonly contentType?: string | undefined;
  /** The stream is deleted when it was not used for as long. */
  readonly ttlSeconds?: number | undefined;
};

export type DurableReadOptions = CallOptions & {
  /** An offset that the server gave, `-1` for the beginning, or `now`. @default -1 */
  readonly offset?: string | undefined;
  /** Wait for records behind the end, for as long as the server allows. */
  readonly wait?: boolean | undefined;
};

export type DurableFollowOptions = Omit<DurableReadOptions, "wait"> & {
  /** @default false */
  readonly follow?: boolean | undefined;
};

export type DurableChunk = {
  readonly bytes: Uint8Array;
  readonly text: string;
  readonly contentType: string;
  /** Where the next read begins. */
  readonly nextOffset: string;
  /** The chunk ends at the end of the stream, as of the read. */
  readonly upToDate: boolean;
  /** There will be no more. */
  readonly closed: boolean;
};

/** The longest time that a server may be set to wait, and more. */
const WAIT_MS = 60_000;

export class DurableStreams {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @param path such as `chats/1`. */
  stream(path: string): DurableStream {
    return new DurableStream(this.#transport, path);
  }

  /** Streams in the order of their paths, page by page. */
  async list(
    options: CallOptions & {
      readonly prefix?: string | undefined;
      readonly after?: string | undefined;
      /** @default 100 */
      readonly limit?: number | undefined;
    } = {},
  ): Promise<{
    readonly streams: readonly DurableStreamSummary[];
    /** `after` of the next page; null on the last one. */
    readonly next: string | null;
    readonly total: number;
  }> {
    const { prefix, after, limit, ...rest } = options;
    const query = { prefix, after, limit };
    const request = { method: "GET", path: "/v1/stream/__ds/streams", query, ...rest } as const;
    const { streams, next, total } = await this.#transport.json(request, LIST);
    return { streams: streams.map((each) => camel(each) as DurableStreamSummary), next, total };
  }
}

const urlPath = (path: string): string => `/v1/stream/${path.split("/").map(segment).join("/")}`;

export class DurableStream {
  readonly path: string;
  readonly #transport: Transport;
  readonly #at: string;

  constructor(transport: Transport, path: string) {
    this.#transport = transport;
    this.path = path;
    this.#at = urlPath(path);
  }

  /** The stream with its fork, its forks and its producers. Does not count as a use of it. */
  async describe(options: CallOptions = {}): Promise<DurableStreamDetails> {
    const path = this.#at.replace("/v1/stream/", "/v1/stream/__ds/streams/");
    const { ok: _, ...details } = await this.#transport.json(
      { method: "GET", path, ...options },
      DETAILS,
    );
    return camel(details) as DurableStreamDetails;
  }

  /**
   * Creates this stream as a fork of another one: it begins with the records of that one.
   *
   * @returns false if the stream exists as this fork.
   */
  async forkFrom(source: string, options: DurableForkOptions = {}): Promise<boolean> {
    const { offset, subOffset, ttlSeconds, ...rest } = options;
    const headers = {
      "stream-forked-from": urlPath(source),
      ...(offset === undefined ? {} : { "stream-fork-offset": offset }),
      ...(subOffset === undefined ? {} : { "stream-fork-sub-offset": String(subOffset) }),
      ...(ttlSeconds === undefined ? {} : { "stream-ttl": String(ttlSeconds) }),
    };
    const request = { method: "PUT", path: this.#at, headers, repeatable: true } as const;
    return (await this.#transport.send({ ...request, ...rest })).status === 201;
  }

  /** @returns false if the stream exists with this configuration. */
  async create(options: DurableStreamOptions = {}): Promise<boolean> {
    const { contentType, ttlSeconds, ...rest } = options;
    const headers = {
      "content-type": contentType ?? "application/octet-stream",
      ...(ttlSeconds === undefined ? {} : { "stream-ttl": String(ttlSeconds) }),
    };
    const request = { method: "PUT", path: this.#at, headers, repeatable: true } as const;
    return (await this.#transport.send({ ...request, ...rest })).status === 201;
  }

  /**
   * Appends a body, or the elements of a JSON array. If the outcome is unknown it is not sent again.
   *
   * @returns the offset behind it.
   */
  append(
    body: Uint8Array | string,
    options: CallOptions & { readonly contentType?: string; readonly close?: boolean } = {},
  ): Promise<string> {
    const { contentType = "application/octet-stream", close = false, ...rest } = options;
    const headers = { "content-type": contentType, ...(close ? CLOSE : {}) };
    return this.#post({ body, headers, isSentOnce: true, ...rest });
  }

  /** Closes the stream: nothing can be appended any more. @returns the offset of its end. */
  close(options: CallOptions = {}): Promise<string> {
    return this.#post({ headers: CLOSE, repeatable: true, ...options });
  }

  async #post(
    request: CallOptions & {
      readonly headers: Readonly<Record<string, string>>;
      readonly body?: Uint8Array | string;
      readonly isSentOnce?: boolean;
      readonly repeatable?: boolean;
    },
  ): Promise<string> {
    const { headers } = await this.#transport.send({ method: "POST", path: this.#at, ...request });
    return headers.get("stream-next-offset") ?? "";
  }

  async read(options: DurableReadOptions = {}): Promise<DurableChunk> {
    const { offset = "-1", wait = false, ...rest } = options;
    const live = wait ? { query: { offset, live: "long-poll" }, waitMs: WAIT_MS } : {};
    const request = { method: "GET", path: this.#at, query: { offset }, ...live, ...rest } as const;
    const { bytes, headers } = await this.#transport.send(request);
    return {
      bytes,
      get text() {
        return decodeText(bytes);
      },
      contentType: headers.get("content-type") ?? "",
      nextOffset: headers.get("stream-next-offset") ?? offset,
      upToDate: headers.get("stream-up-to-date") === "true",
      closed: headers.get("stream-closed") === "true",
    };
  }

  /** Reads to the end; with `follow` also on as the stream grows, until it is closed. */
  async *chunks(options: DurableFollowOptions = {}): AsyncGenerator<DurableChunk> {
    const { follow = false, ...rest } = options;
    let { offset } = options;
    for (let wait = false; ; ) {
      const chunk = await this.read({ ...rest, offset, wait });
      if (chunk.bytes.length > 0) yield chunk;
      if (chunk.closed || (chunk.upToDate && !follow)) return;
      offset = chunk.nextOffset;
      wait = chunk.upToDate;
    }
  }

  async delete(options: CallOptions = {}): Promise<void> {
    await this.#transport.send({ method: "DELETE", path: this.#at, ...options });
  }
}

const CLOSE = { "stream-closed": "true" };
