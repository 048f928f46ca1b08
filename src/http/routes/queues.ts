/** Queues: define, list, describe, delete. */
import { NO_QUERY } from "../../api/common.ts";
import {
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
} from "../../api/queues.ts";
import type { QueueApi, QueueDefinition, QueueSummary } from "../../node/api.ts";
import { readJson } from "../body.ts";
import { deadLetterOf, demandDeadLetter } from "../dead-letters.ts";
import { demandIfKnown } from "../known.ts";
import {
  demandQueue,
  knownQueue,
  QUEUE_BODY_ERRORS,
  QUEUE_ERRORS,
  queueRejected,
} from "../queue-answers.ts";
import type { Endpoint } from "../request-context.ts";
import { json } from "../responses.ts";
import type { Services } from "../services.ts";
import { queueAdminEndpoints } from "./queue-admin.ts";
import { queueMessageEndpoints } from "./queue-messages.ts";

/**
 * Receiving and acknowledging need the scope to read the topic of the queue, everything that changes
 * the queue itself the scope admin. The topic is not in the path, so the handlers ask.
 */
export const queueEndpoints = (services: Services, queues: QueueApi): readonly Endpoint[] => [
  putQueue(services, queues),
  listQueues(queues),
  describeQueue(services, queues),
  deleteQueue(services, queues),
  ...queueMessageEndpoints(services, queues),
  ...queueAdminEndpoints(services, queues),
];

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
      ...QUEUE_BODY_ERRORS,
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
    await demandIfKnown(services, context, knownQueue(queues, name, "admin"));
    await demandDeadLetter(context, {
      deadLetter: definition.deadLetter,
      before: (await queues.topicsOfQueue(name))?.deadLetter,
      isDefault: body.dead_letter === undefined,
      exists: async (topic) => await queues.hasTopic(topic),
    });
    const result = await queues.define(name, definition);
    if (!result.ok) return queueRejected(services, context, result, name, definition.topic);
    return json<QueuePut>({ ok: true, queue: name, created: result.created });
  },
});

function definitionOf(name: string, body: QueueBody): QueueDefinition {
  const { topic } = body;
  const deadLetter = deadLetterOf("queue", name, topic, body.dead_letter);
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
    await demandQueue(services, queues, context, name, "read");
    let result = await queues.describeQueue(name);
    if (!result.ok) {
      // This node may lag, so the queue may exist on the leader.
      const behind = await services.node.catchUp();
      if (behind !== null) return queueRejected(services, context, behind, name);
      result = await queues.describeQueue(name);
    }
    if (!result.ok) return queueRejected(services, context, result, name);
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

function summaryOf({ queue, definition, redrive, ...counts }: QueueSummary) {
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
    ...(redrive === null ? {} : { redrive: { per_second: redrive.perSecond, left: redrive.left } }),
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
    await demandQueue(services, queues, context, name, "admin");
    const result = await queues.deleteQueue(name);
    if (!result.ok) return queueRejected(services, context, result, name);
    return json<QueueDeleted>({ ok: true, queue: name, deleted: true });
  },
});
