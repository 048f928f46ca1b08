import { knownFlags, type LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import type { HasKv, KvRejected, KvState } from "../state.ts";

export type KvDeleteNamespace = {
  readonly type: "kv_delete_namespace";
  readonly namespace: string;
  /** Refuses a namespace that has a key. */
  readonly ifEmpty: boolean;
};

export type KvDeleteNamespaceResult =
  | {
      readonly ok: true;
      readonly type: "kv_delete_namespace";
      /** False if the namespace did not exist. */
      readonly deleted: boolean;
      /** Deleted keys that had not expired, and the bytes of their keys and values. */
      readonly keys: number;
      readonly bytes: number;
    }
  | KvRejected<"namespace_not_empty">;

/** Deletes a namespace with its keys. Its revisions are not used again by any new namespace. */
export function applyKvDeleteNamespace(
  state: KvState,
  { namespace: name, ifEmpty }: KvDeleteNamespace,
  now: Millis,
): KvDeleteNamespaceResult {
  const namespace = state.namespaces.get(name);
  if (namespace === undefined) {
    return { ok: true, type: "kv_delete_namespace", deleted: false, keys: 0, bytes: 0 };
  }
  const { keys, bytes } = namespace.keys.live(now);
  if (ifEmpty && keys > 0) return { ok: false, code: "namespace_not_empty", details: { keys } };
  state.namespaces.delete(name);
  namespace.keys.release();
  state.size -= namespace.keys.size;
  state.bytes -= namespace.keys.bytes;
  state.deletedRevision = Math.max(state.deletedRevision, namespace.revision);
  return { ok: true, type: "kv_delete_namespace", deleted: true, keys, bytes };
}

const IF_EMPTY = 1;
/** Lowest level of the log that has this command. */
const LEVEL = 2;

export const kvDeleteNamespace: LeveledKind<KvDeleteNamespace, KvDeleteNamespaceResult, HasKv> = {
  type: "kv_delete_namespace",
  tag: 21,
  level: LEVEL,
  feature: "Deletions of KV namespaces",
  encode(body, { namespace, ifEmpty }) {
    body.text(namespace);
    body.u8(ifEmpty ? IF_EMPTY : 0);
  },
  decode(body) {
    const namespace = body.text();
    const ifEmpty = knownFlags(body.u8(), IF_EMPTY) !== 0;
    return { type: "kv_delete_namespace", namespace, ifEmpty };
  },
  apply: ({ kv, now }, command) => applyKvDeleteNamespace(kv, command, now),
  summarize: ({ keys, bytes }, summary) => summary.numbers(keys, bytes),
};
