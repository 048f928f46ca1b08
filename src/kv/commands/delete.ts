import { feature as faultPoint } from "bun:bundle";
import { type CommandKind, knownFlags, textBytes } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import type { HasKv } from "../state.ts";
import { casMismatch, currentRevision, type KvRejected, type KvState } from "../state.ts";

export type KvDelete = {
  readonly type: "kv_delete";
  readonly namespace: string;
  /** UTF-8. */
  readonly key: Uint8Array;
  /** Expected revision; 0 if the key must not exist; null for any. */
  readonly cas: number | null;
};

export type KvDeleteResult =
  | {
      readonly ok: true;
      readonly type: "kv_delete";
      /** False if the key did not exist. */
      readonly deleted: boolean;
    }
  | KvRejected;

/** Deletes a key. An expired key counts as absent and remains recorded as expired. */
export function applyKvDelete(state: KvState, command: KvDelete, now: Millis): KvDeleteResult {
  const { key, cas } = command;
  const namespace = state.namespaces.get(command.namespace);
  const current = currentRevision(namespace, key, now);
  if (cas !== null && cas !== current) return casMismatch(cas, current);
  const deleted = namespace !== undefined && current !== 0;
  if (deleted) {
    state.bytes -= namespace.keys.remove(key);
    if (faultPoint("cas-reset-after-delete")) namespace.revision = 0;
    state.size--;
  }
  return { ok: true, type: "kv_delete", deleted };
}

const HAS_CAS = 1;

export const kvDelete: CommandKind<KvDelete, KvDeleteResult, HasKv> = {
  type: "kv_delete",
  tag: 10,
  summaryId: 4,
  encode(body, { namespace, key, cas }) {
    body.text(namespace);
    body.blob(key);
    body.u8(cas === null ? 0 : HAS_CAS);
    if (cas !== null) body.varint(cas);
  },
  decode(body) {
    const namespace = body.text();
    const key = textBytes(body.blob());
    const cas = knownFlags(body.u8(), HAS_CAS) === 0 ? null : body.varint();
    return { type: "kv_delete", namespace, key, cas };
  },
  apply: ({ kv, now }, command) => applyKvDelete(kv, command, now),
  summarize: ({ deleted }, summary) => summary.flag(deleted),
};
