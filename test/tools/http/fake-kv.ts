import { utf8 } from "../../../src/lib/bytes.ts";
import type {
  KvGetReject,
  KvListRequest,
  KvNamespaceDeleted,
  KvNamespaceSummary,
  KvPage,
  KvPutRequest,
  KvValue,
  KvWritten,
  Rejected,
  Result,
} from "../../../src/node/api.ts";

type Entry = { readonly value: Uint8Array; readonly cas: number; readonly expiresAtMs: number };
const MINUTE_MS = 60_000;

export class FakeKv {
  readonly #spaces = new Map<string, Map<string, Entry>>();
  readonly #revisions = new Map<string, number>();
  #deletedRevision = 0;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  put(request: KvPutRequest): Result<KvWritten, "cas_mismatch"> {
    const { namespace, key, value, cas: expected, ttlMs } = request;
    const mismatch = this.#mismatch(namespace, key, expected);
    if (mismatch !== null) return mismatch;
    const cas = (this.#revisions.get(namespace) ?? this.#deletedRevision) + 1;
    this.#revisions.set(namespace, cas);
    const expiresAtMs =
      ttlMs === null
        ? Number.POSITIVE_INFINITY
        : Math.min(this.#now() + ttlMs, Number.MAX_SAFE_INTEGER);
    this.#space(namespace).set(key, { value: value.slice(), cas, expiresAtMs });
    return { ok: true, cas };
  }

  get(namespace: string, key: string): Result<KvValue, KvGetReject> {
    const entry = this.#space(namespace).get(key);
    if (entry === undefined) return { ok: false, code: "not_found" };
    const leftMs = entry.expiresAtMs - this.#now();
    if (leftMs <= 0) {
      if (leftMs < -MINUTE_MS) return { ok: false, code: "not_found" };
      const message = "The key expired within the last minute";
      return { ok: false, code: "not_found", message, details: { expired: 1 } };
    }
    const { value, cas } = entry;
    return { ok: true, value, cas, ttlMs: Number.isFinite(leftMs) ? leftMs : 0 };
  }

  delete(
    namespace: string,
    key: string,
    cas: number | null,
  ): Result<{ deleted: boolean }, "cas_mismatch"> {
    const mismatch = this.#mismatch(namespace, key, cas);
    if (mismatch !== null) return mismatch;
    return { ok: true, deleted: this.#live(namespace, key) && this.#space(namespace).delete(key) };
  }

  list({ namespace, prefix, after, limit }: KvListRequest): KvPage {
    const found = [...this.#space(namespace)]
      .filter(([key]) => this.#live(namespace, key) && key.startsWith(prefix))
      .filter(([key]) => Buffer.compare(utf8(key), utf8(after)) > 0)
      .sort(([a], [b]) => Buffer.compare(utf8(a), utf8(b)));
    const keys = found.slice(0, limit).map(([key, { cas, value, expiresAtMs }]) => ({
      key,
      cas,
      bytes: value.length,
      ttlMs: Number.isFinite(expiresAtMs) ? expiresAtMs - this.#now() : 0,
    }));
    return { keys, next: found.length > limit ? (keys.at(-1)?.key ?? null) : null };
  }

  namespaces(): readonly KvNamespaceSummary[] {
    return [...this.#revisions]
      .map(([namespace, revision]) => ({ namespace, revision, ...this.#sizes(namespace) }))
      .sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
  }

  deleteNamespace(
    namespace: string,
    ifEmpty: boolean,
  ): Result<KvNamespaceDeleted, "namespace_not_empty"> {
    const revision = this.#revisions.get(namespace);
    if (revision === undefined) return { ok: true, deleted: false, keys: 0, bytes: 0 };
    const { keys, bytes } = this.#sizes(namespace);
    if (ifEmpty && keys > 0) return { ok: false, code: "namespace_not_empty", details: { keys } };
    this.#spaces.delete(namespace);
    this.#revisions.delete(namespace);
    this.#deletedRevision = Math.max(this.#deletedRevision, revision);
    return { ok: true, deleted: true, keys, bytes };
  }

  #sizes(namespace: string): { keys: number; bytes: number } {
    const live = [...this.#space(namespace)].filter(([key]) => this.#live(namespace, key));
    const bytes = live.map(([key, { value }]) => utf8(key).length + value.length);
    return { keys: live.length, bytes: bytes.reduce((sum, one) => sum + one, 0) };
  }

  #live(namespace: string, key: string): boolean {
    return this.get(namespace, key).ok;
  }

  #mismatch(
    namespace: string,
    key: string,
    expected: number | null,
  ): Rejected<"cas_mismatch"> | null {
    if (expected === null) return null;
    const found = this.get(namespace, key);
    const current = found.ok ? found.cas : 0;
    if (current === expected) return null;
    return { ok: false, code: "cas_mismatch", details: { expected, current } };
  }

  #space(namespace: string): Map<string, Entry> {
    const present = this.#spaces.get(namespace);
    if (present !== undefined) return present;
    const space = new Map<string, Entry>();
    this.#spaces.set(namespace, space);
    return space;
  }
}
