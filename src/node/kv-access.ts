import type { Clock } from "../env/clock.ts";
import { getValue, listKeys, listNamespaces } from "../kv/reads.ts";
import { utf8 } from "../lib/bytes.ts";
import type { Millis } from "../lib/ids.ts";
import { encodeKvDelete, encodeKvPut } from "../machine/command-codec.ts";
import type { Machine } from "../machine/machine.ts";
import type {
  KvDeleted,
  KvDeleteReject,
  KvDeleteRequest,
  KvGetOutcome,
  KvGetRequest,
  KvListRequest,
  KvNamespaceSummary,
  KvPage,
  KvPutOutcome,
  KvPutRequest,
  Result,
  WriteAck,
} from "./api.ts";
import type { Commander } from "./commander.ts";

/** The KV store as `http` sees it. */
export class KvAccess {
  readonly #machine: Machine;
  readonly #commander: Commander;
  readonly #clock: Clock;
  /** What has expired for one reader must not come back for the next: reads never go back in time. */
  #readMs = 0;

  constructor(machine: Machine, commander: Commander, clock: Clock) {
    this.#machine = machine;
    this.#commander = commander;
    this.#clock = clock;
  }

  /** No entry is stamped below it, so that a key which a reader saw expire stays expired. */
  get readFloorMs(): Millis {
    return this.#readMs as Millis;
  }

  put(request: KvPutRequest, done: (outcome: KvPutOutcome) => void): void {
    const { namespace, value, cas, ttlMs, timeoutMs } = request;
    const key = utf8(request.key);
    this.#commander.start<"kv_put", KvPutOutcome>(
      {
        type: "kv_put",
        bytes: key.length + value.length,
        grows: true,
        timeoutMs,
        encode: (writer) => encodeKvPut(writer, { namespace, key, value, cas, ttlMs }),
        done: (result, { batchId, synced, ackedBy }) => ({
          ok: true,
          cas: result.cas,
          batchId,
          synced,
          ackedBy,
        }),
      },
      done,
    );
  }

  delete(request: KvDeleteRequest): Promise<Result<KvDeleted & WriteAck, KvDeleteReject>> {
    const { namespace, cas, timeoutMs } = request;
    const key = utf8(request.key);
    return this.#commander.run({
      type: "kv_delete",
      bytes: key.length,
      timeoutMs,
      encode: (writer) => encodeKvDelete(writer, { namespace, key, cas }),
      done: (result, ack) => ({ ok: true, deleted: result.deleted, ...ack }),
    });
  }

  get(request: KvGetRequest): KvGetOutcome {
    const found = getValue(this.#machine.kv, request.namespace, request.key, this.#now());
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

  #now(): Millis {
    this.#readMs = Math.max(this.#readMs, this.#machine.now, this.#clock.now());
    return this.#readMs as Millis;
  }
}
