import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { Result, WriteAck, WriteReject } from "./api.ts";

/** Keys and namespaces. */
export interface KvApi {
  /** @param request its value must be valid until this returns. @param done the same as for `produce`. */
  kvPut(request: KvPutRequest, done: (outcome: KvPutOutcome) => void): void;
  /** @returns a promise if the leader has to confirm the read. */
  kvGet(request: KvGetRequest): MaybePromise<KvGetOutcome>;
  /** Deletes a namespace with its keys. */
  kvDeleteNamespace(
    request: KvDeleteNamespaceRequest,
  ): Promise<Result<KvNamespaceDeleted & WriteAck, KvDeleteNamespaceReject>>;
  kvDelete(request: KvDeleteRequest): Promise<Result<KvDeleted & WriteAck, KvDeleteReject>>;
  kvList(request: KvListRequest): Promise<KvPage>;
  /** Namespaces that have at least one key, sorted by name. */
  kvNamespaces(): MaybePromise<readonly KvNamespaceSummary[]>;
}

export type KvPutReject = WriteReject | "cas_mismatch" | "kv_full" | "too_many_namespaces";
export type KvPutOutcome = Result<KvWritten & WriteAck, KvPutReject>;
export type KvGetOutcome = Result<KvValue, KvGetReject>;
export type KvDeleteReject = WriteReject | "cas_mismatch";
export type KvDeleteNamespaceReject = WriteReject | "namespace_not_empty" | "cluster_not_upgraded";
/** `details.expired` is 1 if the key expired within the last minute. */
export type KvGetReject = "not_found" | "no_leader" | "no_quorum" | "overloaded" | "shutting_down";
export type KvPutRequest = {
  readonly namespace: string;
  readonly key: string;
  readonly value: Uint8Array;
  /** Expected revision. 0: only if the key does not exist. Null: not checked. */
  readonly cas: number | null;
  readonly ttlMs: number | null;
  readonly timeoutMs: number | null;
};
export type KvGetRequest = {
  readonly namespace: string;
  readonly key: string;
  readonly linearizable: boolean;
};
export type KvDeleteRequest = {
  readonly namespace: string;
  readonly key: string;
  readonly cas: number | null;
  readonly timeoutMs: number | null;
};
export type KvListRequest = {
  readonly namespace: string;
  readonly prefix: string;
  /** Returns keys after this one, in byte order. Empty: from the first key. */
  readonly after: string;
  readonly limit: number;
};
export type KvWritten = { readonly cas: number };
export type KvDeleted = { readonly deleted: boolean };
export type KvDeleteNamespaceRequest = {
  readonly namespace: string;
  /** Refuses a namespace that has a key. */
  readonly ifEmpty: boolean;
  readonly timeoutMs: number | null;
};
/** `deleted` is false if there was no such namespace. */
export type KvNamespaceDeleted = {
  readonly deleted: boolean;
  readonly keys: number;
  readonly bytes: number;
};
export type KvValue = {
  readonly value: Uint8Array;
  readonly cas: number;
  /** Remaining milliseconds. 0: the key does not expire. */
  readonly ttlMs: number;
};
export type KvPage = {
  readonly keys: readonly {
    readonly key: string;
    readonly cas: number;
    readonly bytes: number;
    readonly ttlMs: number;
  }[];
  /** Value of `after` for the next page. Null at the end. */
  readonly next: string | null;
};
export type KvNamespaceSummary = {
  readonly namespace: string;
  /** The last revision assigned in the namespace. */
  readonly revision: number;
  /** Keys that have not expired, and the bytes of their keys and values. */
  readonly keys: number;
  readonly bytes: number;
};
