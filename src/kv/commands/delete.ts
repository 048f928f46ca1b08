import type { Millis } from "../../lib/ids.ts";
import { casMismatch, type KvRejected, type KvState, liveEntry, removeEntry } from "../state.ts";

export type KvDelete = {
  readonly type: "kv_delete";
  readonly namespace: string;
  /** UTF-8. */
  readonly key: Uint8Array;
  /** Expected revision; 0: only if absent; null: whatever is there. */
  readonly cas: number | null;
};

export type KvDeleteResult =
  | {
      readonly ok: true;
      readonly type: "kv_delete";
      /** False: there was no such key. */
      readonly deleted: boolean;
    }
  | KvRejected;

/** An expired key counts as absent and stays remembered as expired. */
export function applyKvDelete(state: KvState, command: KvDelete, now: Millis): KvDeleteResult {
  const { key, cas } = command;
  const entry = liveEntry(state.namespaces.get(command.namespace), key, now);
  const current = entry?.revision ?? 0;
  if (cas !== null && cas !== current) return casMismatch(cas, current);
  if (entry !== undefined) removeEntry(state, entry);
  return { ok: true, type: "kv_delete", deleted: entry !== undefined };
}
