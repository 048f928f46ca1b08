/** Keys: chains of compare-and-set, anything goes, and times to live. */
import type { KvDelete, KvGet, KvPut } from "../history/operations.ts";
import { type Actor, noted, number, type Read } from "./actor.ts";
import type { Answer } from "./client.ts";
import { CHAIN_KEYS, CHAIN_NS, MIXED_NS, TTL_NS } from "./knowledge.ts";
import type { NodeProcess } from "./node-process.ts";
import { idOf, payloadOf } from "./payload.ts";

const TTL_MS = 3_000;

export async function chain(actor: Actor, node: NodeProcess): Promise<Answer> {
  const { knowledge, random } = actor;
  const key = `c${random.below(CHAIN_KEYS)}`;
  if (random.below(3) === 0) return await get(actor, node, CHAIN_NS, key, random.below(4) > 0);
  return await put(actor, node, { ns: CHAIN_NS, key, cas: knowledge.revision(key), ttlMs: null });
}

export async function mixed(actor: Actor, node: NodeProcess): Promise<Answer> {
  const { knowledge, random } = actor;
  const { name: key, revision } = knowledge.mixedKey();
  const kind = random.below(10);
  const answer =
    kind < 5
      ? await get(actor, node, MIXED_NS, key, random.below(4) > 0)
      : kind < 7
        ? await remove(actor, node, { ns: MIXED_NS, key, cas: kind === 5 ? revision : null })
        : await put(actor, node, {
            ns: MIXED_NS,
            key,
            cas: kind === 7 ? revision : null,
            ttlMs: null,
          });
  if (answer.outcome === "unknown") knowledge.lostMixed(key);
  return answer;
}

/** A key of its own, read around the time of its end. */
export async function expiring(
  actor: Actor,
  pick: () => NodeProcess,
  stopped: () => boolean,
): Promise<Answer> {
  const { client, knowledge, random } = actor;
  const key = knowledge.id(client.name);
  const answer = await put(actor, pick(), { ns: TTL_NS, key, cas: null, ttlMs: TTL_MS });
  const end = performance.now() + 2 * TTL_MS;
  while (performance.now() < end && !stopped()) {
    await Bun.sleep(200 + random.below(1_000));
    await get(actor, pick(), TTL_NS, key, true);
  }
  return answer;
}

const targetOf = (ns: string, key: string, query: readonly string[]): string =>
  `/kv/${ns}/${key}${query.length === 0 ? "" : `?${query.join("&")}`}`;

async function put(
  actor: Actor,
  node: NodeProcess,
  to: Omit<KvPut["args"], "value">,
): Promise<Answer> {
  const { client, knowledge, random } = actor;
  const { ns, key, cas, ttlMs } = to;
  const value = knowledge.id(client.name);
  const query = [
    ...(cas === null ? [] : [`cas=${cas}`]),
    ...(ttlMs === null ? [] : [`ttl_ms=${ttlMs}`]),
  ];
  const target = targetOf(ns, key, query);
  const request = { method: "POST", target, body: payloadOf(value, random) } as const;
  const read: Read<NonNullable<KvPut["result"]>> = ({ outcome, body }) => {
    if (body === null || outcome === "unknown") return { outcome, result: null };
    const isMismatch = body["error"] === "cas_mismatch";
    if (outcome === "fail" && !isMismatch) return { outcome, result: null };
    // `current` is null where there is no key.
    const revision = isMismatch ? ((body["current"] as number | null) ?? 0) : number(body, "cas");
    knowledge.sawRevision(key, revision);
    return { outcome, result: { revision } };
  };
  return await noted(actor, node, "kv-put", { ...to, value }, request, read);
}

async function remove(actor: Actor, node: NodeProcess, args: KvDelete["args"]): Promise<Answer> {
  const { ns, key, cas } = args;
  const target = targetOf(ns, key, cas === null ? [] : [`cas=${cas}`]);
  const read: Read<NonNullable<KvDelete["result"]>> = ({ outcome, body }) => {
    if (body === null || outcome === "unknown") return { outcome, result: null };
    if (outcome === "ok") {
      return { outcome, result: { deleted: body["deleted"] === true, revision: null } };
    }
    if (body["error"] !== "cas_mismatch") return { outcome, result: null };
    const revision = (body["current"] as number | null) ?? 0;
    return { outcome, result: { deleted: false, revision } };
  };
  return await noted(actor, node, "kv-delete", args, { method: "DELETE", target }, read);
}

async function get(
  actor: Actor,
  node: NodeProcess,
  ns: string,
  key: string,
  linearizable: boolean,
): Promise<Answer> {
  const { client, knowledge } = actor;
  const target = targetOf(ns, key, linearizable ? ["consistency=linearizable"] : []);
  const session = `${client.name}@${node.id}#${node.lives}${linearizable ? "!" : ""}`;
  const read: Read<NonNullable<KvGet["result"]>> = ({ outcome, status, body }) => {
    if (status === 404 && body?.["error"] === "not_found") {
      knowledge.sawRevision(key, 0);
      return { outcome: "ok", result: { value: null, revision: 0 } };
    }
    if (outcome !== "ok" || body === null) return { outcome, result: null };
    const revision = number(body, "cas");
    knowledge.sawRevision(key, revision);
    return { outcome, result: { value: decodeValue(body["value"]), revision } };
  };
  const args = { ns, key, linearizable, session };
  return await noted(actor, node, "kv-get", args, { method: "GET", target }, read);
}

export const decodeValue = (base64: unknown): string =>
  idOf(Buffer.from(String(base64), "base64").toString());
