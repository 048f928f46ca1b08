import type { Clock } from "../../env/clock.ts";
import { kvDelete } from "../../kv/commands/delete.ts";
import { kvDeleteNamespace } from "../../kv/commands/delete-namespace.ts";
import { kvPut } from "../../kv/commands/put.ts";
import { getValue, listKeys, listNamespaces } from "../../kv/reads.ts";
import { KEY_OVERHEAD_BYTES, memoryOf } from "../../kv/state.ts";
import { utf8 } from "../../lib/bytes.ts";
import type { Millis } from "../../lib/ids.ts";
import type { MaybePromise } from "../../lib/maybe-promise.ts";
import type { Machine } from "../../machine/machine.ts";
import type {
  KvDeleted,
  KvDeleteNamespaceReject,
  KvDeleteNamespaceRequest,
  KvDeleteReject,
  KvDeleteRequest,
  KvGetOutcome,
  KvGetRequest,
  KvListRequest,
  KvNamespaceDeleted,
  KvNamespaceSummary,
  KvPage,
  KvPutOutcome,
  KvPutRequest,
  Result,
  WriteAck,
} from "../api.ts";
import type { Linearizer } from "../reads/linearizer.ts";
import type { Commander } from "./commander.ts";
import { NamespaceForecast } from "./kv-forecast.ts";
import type { PendingCommand } from "./waiters.ts";

/** Limits of the leader. They exist because every node holds all keys and values in memory. */
export type KvLimits = {
  /** Maximum bytes of keys and values, including the overhead of each key. */
  readonly bytesMax: number;
  /** Maximum number of namespaces. One remains after its keys, until it is deleted. */
  readonly namespacesMax: number;
};
export const NO_KV_LIMITS: KvLimits = {
  bytesMax: Number.POSITIVE_INFINITY,
  namespacesMax: Number.POSITIVE_INFINITY,
};

type KvRejected = {
  readonly ok: false;
  readonly code: "kv_full" | "too_many_namespaces";
  readonly details: Readonly<Record<string, number>>;
};

export type KvAccessOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly limits: KvLimits;
  readonly reads: ReadTime;
  readonly linearizer: Linearizer;
};

/** A key that expired for one reader stays expired for the next. Reads never go back in time. */
export class ReadTime {
  floorMs = 0 as Millis;

  /** Returns the time for a read, below which no later entry is stamped. */
  now(machineNow: Millis, clock: Pick<Clock, "now">): Millis {
    const clockMs = clock.now();
    // Before the first entry is applied there is nothing that could expire, and the time may be that of
    // this machine alone: no later read and no entry may be bound by it.
    if (machineNow > 0) {
      this.floorMs = Math.max(this.floorMs, machineNow, clockMs) as Millis;
    }
    return Math.max(this.floorMs, clockMs) as Millis;
  }
}

/** The KV store that `http` uses. */
export class KvAccess {
  readonly #machine: Machine;
  readonly #commander: Commander;
  readonly #clock: Clock;
  readonly #limits: KvLimits;
  readonly #reads: ReadTime;
  readonly #linearizer: Linearizer;

  constructor({ machine, commander, clock, limits, reads, linearizer }: KvAccessOptions) {
    this.#machine = machine;
    this.#commander = commander;
    this.#clock = clock;
    this.#limits = limits;
    this.#reads = reads;
    this.#linearizer = linearizer;
  }

  put(request: KvPutRequest, done: (outcome: KvPutOutcome) => void): void {
    const { namespace, value, cas, ttlMs, timeoutMs } = request;
    const key = utf8(request.key);
    this.#commander.start(
      {
        kind: kvPut,
        fields: { namespace, key, value, cas, ttlMs },
        bytes: key.length + value.length,
        grows: true,
        timeoutMs,
        check: () => this.#checkRoom(request, key.length),
        done: (result, ack) => ({ ok: true as const, cas: result.cas, ...ack }),
        unsynced: (ack, before) => {
          const forecast = cas === null ? this.#forecast(namespace, before) : null;
          return forecast && { ok: true as const, cas: forecast.nextRevision, ...ack };
        },
      },
      done,
    );
  }

  /**
   * Foretells the results of writes that nothing can refuse. A write with a condition is not answered before
   * it is applied: a client acts upon the outcome of its comparison.
   */
  #forecast(namespace: string, before: () => Iterable<PendingCommand>): NamespaceForecast | null {
    if (!this.#commander.isCurrent) return null;
    return NamespaceForecast.of(this.#machine.kv, namespace, this.#now(), before());
  }

  /**
   * Writes in flight are not counted, so the limits may be exceeded by at most the size of the queue.
   * A value that is not larger than the previous one is always accepted.
   */
  #checkRoom({ namespace, key, value }: KvPutRequest, keyBytes: number): KvRejected | null {
    const { kv } = this.#machine;
    const { bytesMax, namespacesMax } = this.#limits;
    if (kv.namespaces.size >= namespacesMax && !kv.namespaces.has(namespace)) {
      return { ok: false, code: "too_many_namespaces", details: { namespacesMax } };
    }
    if (memoryOf(kv) + keyBytes + value.length + KEY_OVERHEAD_BYTES <= bytesMax) return null;
    const before = getValue(kv, namespace, key, this.#now);
    if (before.status === "found" && value.length <= before.value.length) return null;
    return { ok: false, code: "kv_full", details: { bytesMax } };
  }

  delete(request: KvDeleteRequest): Promise<Result<KvDeleted & WriteAck, KvDeleteReject>> {
    const { namespace, cas, timeoutMs } = request;
    const key = utf8(request.key);
    return this.#commander.run({
      kind: kvDelete,
      fields: { namespace, key, cas },
      bytes: key.length,
      timeoutMs,
      done: (result, ack) => ({ ok: true as const, deleted: result.deleted, ...ack }),
      unsynced: (ack, before) => {
        const forecast = cas === null ? this.#forecast(namespace, before) : null;
        return forecast && { ok: true as const, deleted: forecast.revisionOf(key) > 0, ...ack };
      },
    });
  }

  deleteNamespace(
    request: KvDeleteNamespaceRequest,
  ): Promise<Result<KvNamespaceDeleted & WriteAck, KvDeleteNamespaceReject>> {
    const { namespace, ifEmpty, timeoutMs } = request;
    return this.#commander.run({
      kind: kvDeleteNamespace,
      fields: { namespace, ifEmpty },
      bytes: namespace.length,
      timeoutMs,
      done: ({ deleted, keys, bytes }, ack) => ({
        ok: true as const,
        deleted,
        keys,
        bytes,
        ...ack,
      }),
      unsynced: (ack, before) => {
        const forecast = ifEmpty ? null : this.#forecast(namespace, before);
        if (forecast === null || forecast.isWritten) return null;
        const live = this.#machine.kv.namespaces.get(namespace)?.keys.live(this.#now());
        const { keys = 0, bytes = 0 } = live ?? {};
        return { ok: true as const, deleted: live !== undefined, keys, bytes, ...ack };
      },
    });
  }

  /** @returns a promise if the leader has to confirm the read. */
  get(request: KvGetRequest): MaybePromise<KvGetOutcome> {
    return request.linearizable ? this.#getConfirmed(request) : this.#get(request);
  }

  async #getConfirmed(request: KvGetRequest): Promise<KvGetOutcome> {
    const outcome = await this.#linearizer.confirm();
    return outcome === "ok" ? this.#get(request) : { ok: false, code: outcome };
  }

  #get(request: KvGetRequest): KvGetOutcome {
    const found = getValue(this.#machine.kv, request.namespace, request.key, this.#now);
    if (found.status === "found") {
      return { ok: true, value: found.value, cas: found.cas, ttlMs: found.ttlMs };
    }
    if (found.status === "absent") return { ok: false, code: "not_found" };
    const message = "The key expired within the last minute";
    return { ok: false, code: "not_found", message, details: { expired: 1 } };
  }

  list(request: KvListRequest): KvPage {
    const { namespace, prefix, after, limit } = request;
    return listKeys(this.#machine.kv, namespace, { prefix, after, limit }, this.#now());
  }

  namespaces(): readonly KvNamespaceSummary[] {
    return listNamespaces(this.#machine.kv, this.#now());
  }

  readonly #now = (): Millis => this.#reads.now(this.#machine.now, this.#clock);
}
