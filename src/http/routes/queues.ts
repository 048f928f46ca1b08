/** Queues: define, receive, acknowledge, put aside. */
import { NO_FIELDS_BODY, NO_QUERY } from "../../api/common.ts";
import {
  ACK_BODY,
  EXTEND_BODY,
  NACK_BODY,
  PURGED,
  type Purged,
  QUEUE_BODY,
  QUEUE_DELETED,
  QUEUE_DESCRIBED,
  QUEUE_LIST,
  QUEUE_PUT,
  type QueueBody,
  type QueueDeleted,
  type QueueDescribed,
  type QueueList,
  type QueuePut,
  RECEIVE_QUERY,
  RECEIVED,
  REDRIVE_BODY,
  REDRIVEN,
  REJECT_BODY,
  type RedrivenAnswer,
  SETTLED,
  type SettledMessages,
} from "../../api/queues.ts";
import type {
  QueueApi,
  QueueDefinition,
  QueueSummary,
  Rejected,
  Result,
  Settlement,
  SettleRequest,
} from "../../node/api.ts";
import { JSON_FIELD_ERRORS, readJson, readOptionalJson } from "../body.ts";
import { ApiError, type ErrorCode } from "../errors.ts";
import { queryReader } from "../query.ts";
import { receivedText } from "../received.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { hotJson, json } from "../responses.ts";
import type { Services } from "../services.ts";
import type { Scope } from "../token-spec.ts";

const MAX_DEFAULT = 1;
const RECEIVE_MAX = 100;
const BODY_ERRORS: readonly ErrorCode[] = [...JSON_FIELD_ERRORS, "request_too_large"];
const QUEUE_ERRORS: readonly ErrorCode[] = ["invalid_queue", "queue_not_found", "commit_timeout"];

/**
 * Receiving and acknowledging need the scope to read the topic of the queue, everything that changes
 * the queue itself the scope admin. The topic is not in the path, so the handlers ask.
 */
export const queueEndpoints = (services: Services, queues: QueueApi): readonly Endpoint[] => [
  putQueue(services, queues),
  listQueues(queues),
  describeQueue(services, queues),
  deleteQueue(services, queues),
  receive(services, queues),
  ack(services, queues),
  nack(services, queues),
  extend(services, queues),
  reject(services, queues),
  redrive(services, queues),
  purge(services, queues),
];

const readReceive = queryReader(RECEIVE_QUERY);

const putQueue = (services: Services, queues: QueueApi): Endpoint => ({
  method: "PUT",
  path: "/broker/queues/:queue",
  access: { kind: "body", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary:
      "Create a queue, or change its definition. Needs admin for its topic, and admin or write for a dead-letter topic that exists or is named",
    tag: "queues",
    body: QUEUE_BODY,
    answer: QUEUE_PUT,
    errors: [
      ...BODY_ERRORS,
      "invalid_queue",
      "missing_topic",
      "invalid_topic",
      "topic_not_found",
      "queue_exists",
      "too_many_queues",
      "too_many_partitions",
      "cluster_not_upgraded",
      "commit_timeout",
    ],
  },
  handle: async (context) => {
    const name = context.path("queue");
    const body = await readJson(context, QUEUE_BODY);
    const definition = definitionOf(name, body);
    context.demand("admin", definition.topic);
    await demandExisting(queues, context, name, "admin");
    await demandDeadLetter(queues, context, name, definition.deadLetter, body);
    const result = await queues.define(name, definition);
    if (!result.ok) return rejected(services, context, result, name, definition.topic);
    return json<QueuePut>({ ok: true, queue: name, created: result.created });
  },
});

function definitionOf(name: string, body: QueueBody): QueueDefinition {
  const { topic, dead_letter: deadLetter = `${name}.dead` } = body;
  if (deadLetter !== null && deadLetter.length > 249) {
    throw new ApiError(
      "invalid_field",
      `Field "dead_letter" is absent, and "${deadLetter}" is longer than the 249 characters of a topic name: give a topic or null`,
    );
  }
  if (deadLetter === topic) {
    throw new ApiError(
      "invalid_field",
      `Field "dead_letter" is "${topic}": it must be another topic than the one of the queue, or null`,
    );
  }
  return {
    topic,
    visibilityMs: body.visibility_ms ?? 30_000,
    maxDeliveries: body.max_deliveries ?? 5,
    backoffMs: body.backoff_ms ?? [1_000, 10_000, 60_000],
    deadLetter,
    order: body.order ?? "none",
    maxInFlight: body.max_in_flight ?? 1_000,
    from: body.from ?? "earliest",
  };
}

/**
 * A queue writes into its dead-letter topic, so a topic that others use needs a scope of its own. The
 * default topic of a new queue does not exist yet.
 */
async function demandDeadLetter(
  queues: QueueApi,
  context: RequestContext,
  name: string,
  deadLetter: string | null,
  body: QueueBody,
): Promise<void> {
  if (deadLetter === null) return;
  const before = (await queues.topicsOfQueue(name))?.deadLetter;
  const isOwn = body.dead_letter === undefined && !(await queues.hasTopic(deadLetter));
  if (isOwn || deadLetter === before) return;
  if (!context.principal.may("admin", deadLetter)) context.demand("write", deadLetter);
}

const listQueues = (queues: QueueApi): Endpoint => ({
  method: "GET",
  path: "/broker/queues",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "The queues of the topics that the token may read",
    tag: "queues",
    answer: QUEUE_LIST,
    errors: [],
  },
  handle: async ({ principal }) => {
    const all = await queues.listQueues();
    const may = all.filter(({ definition }) => principal.may("read", definition.topic));
    return json<QueueList>({ ok: true, queues: may.map(summaryOf) });
  },
});

const describeQueue = (services: Services, queues: QueueApi): Endpoint => ({
  method: "GET",
  path: "/broker/queues/:queue",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "Definition and state of a queue, as far as this node knows",
    tag: "queues",
    answer: QUEUE_DESCRIBED,
    errors: ["invalid_queue", "queue_not_found"],
  },
  handle: async (context) => {
    const name = context.path("queue");
    let result = await queues.describeQueue(name);
    if (!result.ok) {
      // This node may lag, so the queue may exist on the leader.
      const behind = await services.node.catchUp();
      if (behind !== null) return rejected(services, context, behind, name);
      result = await queues.describeQueue(name);
    }
    if (!result.ok) return rejected(services, context, result, name);
    context.demand("read", result.definition.topic);
    return json<QueueDescribed>({
      ok: true,
      ...summaryOf(result),
      partitions: result.partitions.map(({ partition, lowOffset, endOffset, unfinished }) => ({
        partition,
        low_offset: lowOffset,
        end_offset: endOffset,
        unfinished,
      })),
      dead_letters: result.deadLetterOffsets.map((offset, partition) => ({ partition, offset })),
    });
  },
});

function summaryOf({ queue, definition, ...counts }: QueueSummary) {
  return {
    queue,
    topic: definition.topic,
    visibility_ms: definition.visibilityMs,
    max_deliveries: definition.maxDeliveries,
    backoff_ms: definition.backoffMs,
    dead_letter: definition.deadLetter,
    order: definition.order,
    max_in_flight: definition.maxInFlight,
    from: definition.from,
    ready: counts.ready,
    in_flight: counts.inFlight,
    delayed: counts.delayed,
    dead: counts.dead,
    acked: counts.acked,
    purged: counts.purged,
    redriven: counts.redriven,
    lost_to_retention: counts.lost,
    oldest_age_ms: counts.oldestAgeMs,
  };
}

const deleteQueue = (services: Services, queues: QueueApi): Endpoint => ({
  method: "DELETE",
  path: "/broker/queues/:queue",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Delete a queue; its topic and its dead letters stay. Needs admin for its topic",
    tag: "queues",
    answer: QUEUE_DELETED,
    errors: QUEUE_ERRORS,
  },
  handle: async (context) => {
    const name = context.path("queue");
    await demandExisting(queues, context, name, "admin");
    const result = await queues.deleteQueue(name);
    if (!result.ok) return rejected(services, context, result, name);
    return json<QueueDeleted>({ ok: true, queue: name, deleted: true });
  },
});

const receive = (services: Services, queues: QueueApi): Endpoint => ({
  method: "POST",
  path: "/broker/queues/:queue/receive",
  access: { kind: "list", scope: "read" },
  leaderOnly: true,
  isPoll: true,
  isHot: true,
  query: RECEIVE_QUERY,
  docs: {
    summary: "Lease messages, or wait for one. Needs read for the topic of the queue",
    tag: "queues",
    answer: RECEIVED,
    errors: [...QUEUE_ERRORS, "data_damaged"],
  },
  handle: async (context) => {
    const name = context.path("queue");
    const query = readReceive(context);
    await demandExisting(queues, context, name, "read");
    const waitMs = query.wait_ms ?? 0;
    if (waitMs > 0) services.allowLong(context.request);
    const result = await queues.receive({
      queue: name,
      max: Math.min(query.max ?? MAX_DEFAULT, RECEIVE_MAX),
      waitMs,
      visibilityMs: query.visibility_ms,
      // Signals are not free, and a request that does not wait needs none.
      signal: waitMs > 0 ? AbortSignal.any([context.request.signal, services.stopping]) : null,
    });
    if (!result.ok) return rejected(services, context, result, name);
    const { instruments } = services.options;
    return hotJson(context.request, receivedText(result, query.encoding === "b64", instruments));
  },
});

type SettleDocs = {
  readonly verb: "ack" | "nack" | "extend";
  readonly summary: string;
  readonly body: typeof ACK_BODY | typeof NACK_BODY | typeof EXTEND_BODY;
  readonly read: (
    context: RequestContext,
  ) => Promise<{ receipts: readonly string[]; how: SettleRequest["how"] }>;
};

const settle = (
  services: Services,
  queues: QueueApi,
  { verb, summary, body, read }: SettleDocs,
): Endpoint => ({
  method: "POST",
  path: `/broker/queues/:queue/${verb}`,
  access: { kind: "list", scope: "read" },
  leaderOnly: true,
  isHot: true,
  query: NO_QUERY,
  docs: {
    summary,
    tag: "queues",
    body,
    answer: SETTLED,
    errors: [...BODY_ERRORS, ...QUEUE_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("queue");
    const { receipts, how } = await read(context);
    await demandExisting(queues, context, name, "read");
    const result = await queues.settle({ queue: name, receipts, how });
    return settled(services, context, name, receipts, result);
  },
});

const ack = (services: Services, queues: QueueApi): Endpoint =>
  settle(services, queues, {
    verb: "ack",
    summary: "Acknowledge messages: they are finished. Needs read for the topic of the queue",
    body: ACK_BODY,
    read: async (context) => {
      const { receipts } = await readJson(context, ACK_BODY);
      return { receipts, how: { kind: "ack" } };
    },
  });

const nack = (services: Services, queues: QueueApi): Endpoint =>
  settle(services, queues, {
    verb: "nack",
    summary:
      "Give messages back: they are delivered again after a wait, or put aside after the last attempt",
    body: NACK_BODY,
    read: async (context) => {
      const { receipts, delay_ms: delayMs = null } = await readJson(context, NACK_BODY);
      return { receipts, how: { kind: "nack", delayMs } };
    },
  });

const extend = (services: Services, queues: QueueApi): Endpoint =>
  settle(services, queues, {
    verb: "extend",
    summary: "Prolong leases; it is not an attempt",
    body: EXTEND_BODY,
    read: async (context) => {
      const { receipts, by_ms: byMs } = await readJson(context, EXTEND_BODY);
      return { receipts, how: { kind: "extend", byMs } };
    },
  });

const reject = (services: Services, queues: QueueApi): Endpoint => ({
  method: "POST",
  path: "/broker/queues/:queue/reject",
  access: { kind: "list", scope: "read" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Put messages aside at once, as dead letters. Needs read for the topic of the queue",
    tag: "queues",
    body: REJECT_BODY,
    answer: SETTLED,
    errors: [...BODY_ERRORS, ...QUEUE_ERRORS, "data_damaged", "too_many_partitions"],
  },
  handle: async (context) => {
    const name = context.path("queue");
    const { receipts, reason = null } = await readJson(context, REJECT_BODY);
    await demandExisting(queues, context, name, "read");
    const result = await queues.reject({ queue: name, receipts, reason });
    return settled(services, context, name, receipts, result);
  },
});

const redrive = (services: Services, queues: QueueApi): Endpoint => ({
  method: "POST",
  path: "/broker/queues/:queue/redrive",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Move dead letters back into the topic of the queue. Needs admin for that topic",
    tag: "queues",
    body: REDRIVE_BODY,
    answer: REDRIVEN,
    errors: [...BODY_ERRORS, ...QUEUE_ERRORS, "data_damaged"],
  },
  handle: async (context) => {
    const name = context.path("queue");
    const { max = null, per_second: perSecond = null } = await readOptionalJson(
      context,
      REDRIVE_BODY,
    );
    await demandExisting(queues, context, name, "admin");
    services.allowLong(context.request);
    const result = await queues.redrive({ queue: name, max, perSecond });
    if (!result.ok) return rejected(services, context, result, name);
    const { moved, remaining } = result;
    return json<RedrivenAnswer>({ ok: true, queue: name, moved, remaining });
  },
});

const purge = (services: Services, queues: QueueApi): Endpoint => ({
  method: "POST",
  path: "/broker/queues/:queue/purge",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Finish all present messages of a queue; the topic keeps them. Needs admin",
    tag: "queues",
    body: NO_FIELDS_BODY,
    answer: PURGED,
    errors: [...BODY_ERRORS, ...QUEUE_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("queue");
    await readOptionalJson(context, NO_FIELDS_BODY);
    await demandExisting(queues, context, name, "admin");
    const result = await queues.purge(name);
    if (!result.ok) return rejected(services, context, result, name);
    return json<Purged>({ ok: true, queue: name, purged: result.purged });
  },
});

/** Requires the scope for the topic of the queue. If the queue does not exist, the node says so. */
async function demandExisting(
  queues: QueueApi,
  context: RequestContext,
  name: string,
  scope: Scope,
): Promise<void> {
  const topics = await queues.topicsOfQueue(name);
  if (topics !== null) context.demand(scope, topics.topic);
}

function settled(
  services: Services,
  context: RequestContext,
  name: string,
  receipts: readonly string[],
  result: Result<{ results: readonly Settlement[] }, Rejected["code"]>,
): Response {
  if (!result.ok) return rejected(services, context, result, name);
  const results = result.results.map((error, at) => {
    const receipt = receipts[at] ?? "";
    return error === null ? { receipt, ok: true } : { receipt, ok: false, error };
  });
  return json<SettledMessages>({ ok: true, results });
}

function rejected(
  { errorMapper }: Services,
  context: RequestContext,
  rejection: Rejected,
  name: string,
  topic: string | null = null,
): Response {
  const about = rejection.code === "topic_not_found" ? `topic "${topic}"` : `queue "${name}"`;
  return errorMapper.answer(context, rejection, about);
}
