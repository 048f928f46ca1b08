/** Results of writes of keys unless leadership changes, from the state and the writes in flight. */
import { feature as faultPoint } from "bun:bundle";
import { kvDelete } from "../../kv/commands/delete.ts";
import { kvDeleteNamespace } from "../../kv/commands/delete-namespace.ts";
import { kvPut } from "../../kv/commands/put.ts";
import { currentRevision, type KvState } from "../../kv/state.ts";
import { fromUtf8 } from "../../lib/bytes.ts";
import type { CommandOf, FieldsOf } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import type { PendingCommand } from "./waiters.ts";

type Put = FieldsOf<CommandOf<typeof kvPut>>;
type Delete = FieldsOf<CommandOf<typeof kvDelete>>;

/** A namespace as it will be when the writes in flight are applied. */
export class NamespaceForecast {
  readonly #kv: KvState;
  readonly #namespace: string;
  readonly #now: Millis;
  /** Revisions of the keys that are written; 0: deleted. */
  readonly #keys = new Map<string, number>();
  #revision: number;
  /** True if a write in flight belongs to the namespace. */
  isWritten = false;

  private constructor(kv: KvState, namespace: string, now: Millis) {
    this.#kv = kv;
    this.#namespace = namespace;
    this.#now = now;
    this.#revision = kv.namespaces.get(namespace)?.revision ?? kv.deletedRevision;
  }

  /** @returns null if a namespace is being deleted: what revisions are used after it is not known. */
  static of(
    kv: KvState,
    namespace: string,
    now: Millis,
    inFlight: Iterable<PendingCommand>,
  ): NamespaceForecast | null {
    const forecast = new NamespaceForecast(kv, namespace, now);
    for (const { kind, fields } of inFlight) {
      if (faultPoint("unsynced-keys-ignore-writes-in-flight")) break;
      if (kind === kvDeleteNamespace) return null;
      if (kind === kvPut) forecast.#put(fields as Put);
      else if (kind === kvDelete) forecast.#delete(fields as Delete);
    }
    return forecast;
  }

  /** The revision that the next put gets. */
  get nextRevision(): number {
    return this.#revision + 1;
  }

  /** @returns 0 if there will be no such key. */
  revisionOf(key: Uint8Array): number {
    const written = this.#keys.get(fromUtf8(key));
    if (written !== undefined) return written;
    return currentRevision(this.#kv.namespaces.get(this.#namespace), key, this.#now);
  }

  #put({ namespace, key, cas }: Put): void {
    if (namespace !== this.#namespace) return;
    this.isWritten = true;
    if (cas !== null && cas !== this.revisionOf(key)) return;
    this.#keys.set(fromUtf8(key), ++this.#revision);
  }

  #delete({ namespace, key, cas }: Delete): void {
    if (namespace !== this.#namespace) return;
    this.isWritten = true;
    if (cas !== null && cas !== this.revisionOf(key)) return;
    this.#keys.set(fromUtf8(key), 0);
  }
}
