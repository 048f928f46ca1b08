import { AyderError, badAnswer } from "./errors.ts";
import { KV_DELETED, KV_LIST, KV_META, KV_WRITTEN } from "./shapes.ts";
import type { Answer, CallOptions, Transport } from "./transport.ts";
import type { KvDeleted, KvListed, KvMeta, KvPage, KvWritten } from "./types.ts";
import { keyPath, segment } from "./url.ts";
import { bytesOf, camel, Stored, type Value } from "./values.ts";

export class KvEntry extends Stored {
  readonly key: string;
  /** Revision. Pass it to the next `put` to detect writes of others in between. */
  readonly cas: number;

  constructor(key: string, bytes: Uint8Array, cas: number) {
    super(bytes);
    this.key = key;
    this.cas = cas;
  }
}

export type KvReadOptions = CallOptions & { readonly linearizable?: boolean | undefined };
export type KvPutOptions = CallOptions & {
  /** Expected revision; 0 if the key must not exist. Otherwise the error is `cas_mismatch`. */
  readonly cas?: number | undefined;
  /** @default no expiry */
  readonly ttlMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
};
export type KvListOptions = CallOptions & {
  readonly prefix?: string | undefined;
  /** Returns keys after this one, in byte order. */
  readonly after?: string | undefined;
};

const PAGE_KEYS = 1000;

/**
 * One namespace. A write is retried only if it is certain that nothing was done, because a second
 * put could overwrite a write of somebody else in between.
 */
export class Kv {
  readonly namespace: string;
  readonly #transport: Transport;

  constructor(transport: Transport, namespace: string) {
    this.#transport = transport;
    this.namespace = namespace;
  }

  /** @returns null if there is no such key. */
  async get(key: string, options: KvReadOptions = {}): Promise<KvEntry | null> {
    const headers = { accept: "application/octet-stream" };
    return await absentAsNull(async () => {
      const answer = await this.#transport.send({ ...this.#read(key, options), headers });
      return new KvEntry(key, answer.bytes, revisionOf(answer));
    });
  }

  /** @returns null if there is no such key. */
  async meta(key: string, options: KvReadOptions = {}): Promise<KvMeta | null> {
    return await absentAsNull(async () =>
      camel(await this.#transport.json(this.#read(`${key}/meta`, options), KV_META)),
    );
  }

  /** @throws AyderError `cas_mismatch` with the fields `expected` and `current`. */
  async put(key: string, value: Value, options: KvPutOptions = {}): Promise<KvWritten> {
    const { cas, ttlMs, timeoutMs, ...rest } = options;
    const request = {
      method: "POST",
      path: this.#path(key),
      query: { cas, ttl_ms: ttlMs, timeout_ms: timeoutMs },
      body: bytesOf(value),
      waitMs: timeoutMs,
      ...rest,
    } as const;
    return camel(await this.#transport.json(request, KV_WRITTEN));
  }

  /** If the key does not exist, `deleted` is false; this is not an error. */
  async delete(
    key: string,
    options: CallOptions & { readonly cas?: number | undefined } = {},
  ): Promise<KvDeleted> {
    const { cas, ...rest } = options;
    const path = this.#path(key);
    const request = { method: "DELETE", path, query: { cas }, ...rest } as const;
    return camel(await this.#transport.json(request, KV_DELETED));
  }

  /**
   * Reads, changes and writes a key; starts again if somebody else wrote in between.
   *
   * @param change may run several times; if it returns null, the key is not changed.
   * @returns the revision of the key; null if the key does not exist.
   */
  async update(
    key: string,
    change: (entry: KvEntry | null) => Value | null,
    options: CallOptions & { readonly ttlMs?: number | undefined } = {},
  ): Promise<number | null> {
    for (;;) {
      const entry = await this.get(key, { ...options, linearizable: true });
      const value = change(entry);
      if (value === null) return entry?.cas ?? null;
      try {
        return (await this.put(key, value, { ...options, cas: entry?.cas ?? 0 })).cas;
      } catch (error) {
        const raced = error instanceof AyderError && error.code === "cas_mismatch";
        if (!raced || error.outcome === "unknown") throw error;
      }
    }
  }

  /** Lists one page of keys, in byte order. */
  async page(
    options: KvListOptions & { readonly limit?: number | undefined } = {},
  ): Promise<KvPage> {
    const { prefix, after, limit = PAGE_KEYS, ...rest } = options;
    const path = `/kv/${segment(this.namespace)}`;
    const query = { prefix, after, limit };
    const request = { method: "GET", path, query, ...rest } as const;
    return camel(await this.#transport.json(request, KV_LIST));
  }

  /** Lists all keys, page by page. */
  async *list(options: KvListOptions = {}): AsyncGenerator<KvListed, void, void> {
    let after: string | null | undefined = options.after;
    while (after !== null) {
      const page: KvPage = await this.page({ ...options, after });
      yield* page.keys;
      after = page.next;
    }
  }

  #read(key: string, { linearizable, ...rest }: KvReadOptions) {
    const consistency = linearizable === true ? "linearizable" : undefined;
    return { method: "GET", path: this.#path(key), query: { consistency }, ...rest } as const;
  }

  #path(key: string): string {
    return `/kv/${segment(this.namespace)}/${keyPath(key)}`;
  }
}

/** @throws AyderError `bad_answer` */
function revisionOf({ headers, status }: Answer): number {
  const etag = headers.get("etag") ?? "";
  // A proxy that compresses turns the tag into a weak one.
  const digits = /^(?:W\/)?"(\d{1,16})"$/.exec(etag)?.[1];
  if (digits !== undefined && Number.isSafeInteger(Number(digits))) return Number(digits);
  const said = etag === "" ? "has no ETag" : `has the ETag ${JSON.stringify(etag)}`;
  throw badAnswer(`the answer ${said}, which must contain the revision`, status, "refused");
}

async function absentAsNull<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof AyderError && error.code === "not_found") return null;
    throw error;
  }
}
