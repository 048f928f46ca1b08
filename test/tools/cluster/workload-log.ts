/** Produce, consume, commit and delete, each noted in the history. */
import type { Consume, Produce } from "../history/operations.ts";
import type { Random } from "../random.ts";
import { type Actor, ifOk, noted, number } from "./actor.ts";
import type { Answer } from "./client.ts";
import { GROUPS, PARTITIONS, TOPIC } from "./knowledge.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Body } from "./outcome.ts";
import { idOf, payloadOf } from "./payload.ts";

const BATCH_MAX = 20;
const PAGE_LIMIT_MAX = 300;
const RETRIES_MAX = 6;
const RETRY_PAUSE_MS = 60;
/** Below the floor nothing can be checked any more, so little is deleted at a time. */
const DELETED_MAX = 25;

const place = (random: Random) => ({ topic: TOPIC, partition: random.below(PARTITIONS) });

/** One message, or an atomic batch. */
export async function produce(actor: Actor, node: NodeProcess): Promise<Answer> {
  const { client, knowledge, random } = actor;
  const count = random.below(3) === 0 ? 1 + random.below(BATCH_MAX) : 1;
  const ids = Array.from({ length: count }, () => knowledge.id(client.name));
  const payloads = ids.map((id) => payloadOf(id, random));
  return await send(actor, node, { ...place(random), key: null, values: ids }, payloads);
}

/** With a key: asked again until there is an answer, sometimes twice at once or after a success. */
export async function produceOnce(
  actor: Actor,
  pick: () => NodeProcess,
  stopped: () => boolean,
): Promise<Answer> {
  const { client, knowledge, random } = actor;
  const id = knowledge.id(client.name);
  const payload = payloadOf(id, random);
  const args = { ...place(random), key: `key-${id}`, values: [id] };
  let answer = await send(actor, pick(), args, [payload]);
  for (let i = 0; i < RETRIES_MAX && answer.outcome !== "ok" && !stopped(); i++) {
    await Bun.sleep(RETRY_PAUSE_MS);
    answer = await send(actor, pick(), args, [payload]);
  }
  if (answer.outcome === "ok") knowledge.sawKeyed({ args, payload }, random);
  if (random.below(4) === 0) await send(actor, pick(), args, [payload]);
  if (random.below(12) === 0) {
    const other = knowledge.id(client.name);
    const otherArgs = { ...args, values: [other] };
    await send(actor, pick(), otherArgs, [payloadOf(other, random)]);
  }
  return answer;
}

/** A key that was acknowledged long ago: still a duplicate, whatever happened meanwhile. */
export async function produceAgain(actor: Actor, node: NodeProcess): Promise<Answer> {
  const old = actor.knowledge.oldKeyed(actor.random);
  return old === null
    ? await produce(actor, node)
    : await send(actor, node, old.args, [old.payload]);
}

async function send(
  actor: Actor,
  node: NodeProcess,
  args: Produce["args"],
  payloads: readonly string[],
): Promise<Answer> {
  const { topic, partition, key, values } = args;
  const isBatch = values.length > 1;
  const query = `partition=${partition}${key === null ? "" : `&idempotency_key=${key}`}`;
  const path = `/broker/topics/${topic}/produce${isBatch ? "-ndjson" : ""}?${query}`;
  const request = { method: "POST", target: path, body: payloads.join("\n") } as const;
  return await noted(
    actor,
    node,
    "produce",
    args,
    request,
    ifOk((body) => {
      const offset = number(body, isBatch ? "first_offset" : "offset");
      const count = isBatch ? number(body, "count") : 1;
      actor.knowledge.sawEnd(partition, offset + count);
      const payloadMatches = body["payload_matches"] !== false;
      return { offset, count, duplicate: body["duplicate"] === true, payloadMatches };
    }),
  );
}

/** From the leader's point of view, or as the asked node has it. */
export async function consume(actor: Actor, node: NodeProcess): Promise<Answer> {
  const { random, knowledge } = actor;
  const at = place(random);
  const end = knowledge.end(at.partition);
  const near = Math.max(0, end - random.below(PAGE_LIMIT_MAX));
  const anywhere = random.below(end + 2);
  const offset = random.below(6) === 0 ? null : random.below(4) === 0 ? anywhere : near;
  return await readPage(actor, node, {
    ...at,
    group: random.pick(GROUPS),
    offset,
    limit: 1 + random.below(PAGE_LIMIT_MAX),
    linearizable: random.below(2) === 0,
  });
}

/** Linearizable, and about what came last: a stale answer shows. */
export async function consumeNewest(actor: Actor, node: NodeProcess): Promise<Answer> {
  const at = place(actor.random);
  const offset = Math.max(0, actor.knowledge.end(at.partition) - 3);
  const limit = PAGE_LIMIT_MAX;
  return await readPage(actor, node, { ...at, group: "g0", offset, limit, linearizable: true });
}

export async function readPage(
  actor: Actor,
  node: NodeProcess,
  args: Omit<Consume["args"], "session">,
): Promise<Answer> {
  const { topic, partition, group, offset, limit, linearizable } = args;
  const query = [
    `limit=${limit}`,
    ...(offset === null ? [] : [`offset=${offset}`]),
    ...(linearizable ? ["consistency=linearizable"] : []),
  ];
  const target = `/broker/consume/${topic}/${group}/${partition}?${query.join("&")}`;
  const session = `${actor.client.name}@${node.id}#${node.lives}${linearizable ? "!" : ""}`;
  const request = { method: "GET", target } as const;
  return await noted(
    actor,
    node,
    "consume",
    { ...args, session },
    request,
    ifOk((body) => {
      const page = pageOf(body);
      actor.knowledge.sawEnd(partition, page.end);
      actor.knowledge.sawFloor(partition, page.low);
      return page;
    }),
  );
}

export function pageOf(body: Body): NonNullable<Consume["result"]> {
  const messages = body["messages"] as readonly Record<string, unknown>[];
  return {
    messages: messages.map((one) => [number(one, "offset"), idOf(textOf(one))]),
    next: number(body, "next_offset"),
    // Null before the first commit.
    committed: (body["committed_offset"] as number | null) ?? 0,
    low: number(body, "low_watermark"),
    end: number(body, "end_offset"),
    truncated: body["truncated"] === true,
  };
}

const textOf = (message: Record<string, unknown>): string =>
  typeof message["value"] === "string"
    ? message["value"]
    : `not text: ${String(message["value_b64"])}`;

export async function commit(actor: Actor, node: NodeProcess): Promise<Answer> {
  const { knowledge, random } = actor;
  const at = place(random);
  const group = random.pick(GROUPS);
  const offset = random.below(knowledge.end(at.partition) + 1);
  const body = JSON.stringify({ ...at, group, offset });
  const request = { method: "POST", target: "/broker/commit", body } as const;
  const read = ifOk((answer) => ({ committed: number(answer, "committed_offset") }));
  return await noted(actor, node, "commit", { ...at, group, offset }, request, read);
}

export async function deleteBefore(actor: Actor, node: NodeProcess): Promise<Answer> {
  const { knowledge, random } = actor;
  const at = place(random);
  const floor = knowledge.floor(at.partition);
  const room = Math.min(DELETED_MAX, knowledge.end(at.partition) - floor);
  const before = floor + random.below(Math.max(1, room));
  const body = JSON.stringify({ ...at, before_offset: before });
  const request = { method: "POST", target: "/broker/delete-before", body } as const;
  const read = ifOk((answer) => ({ deleted: number(answer, "deleted_count") }));
  return await noted(actor, node, "delete-before", { ...at, before }, request, read);
}
