/** Maintenance of queues: move dead letters back, finish all messages. */
import { NO_FIELDS_BODY, NO_QUERY } from "../../api/common.ts";
import {
  PURGED,
  type Purged,
  REDRIVE_BODY,
  REDRIVE_STOPPED,
  REDRIVEN,
  type RedrivenAnswer,
  type RedriveStopped,
} from "../../api/queues.ts";
import type { QueueApi } from "../../node/api.ts";
import { readOptionalJson } from "../body.ts";
import { demandQueue, QUEUE_BODY_ERRORS, QUEUE_ERRORS, queueRejected } from "../queue-answers.ts";
import type { Endpoint } from "../request-context.ts";
import { json } from "../responses.ts";
import type { Services } from "../services.ts";

export const queueAdminEndpoints = (services: Services, queues: QueueApi): readonly Endpoint[] => [
  redrive(services, queues),
  stopRedrive(services, queues),
  purge(services, queues),
];

const redrive = (services: Services, queues: QueueApi): Endpoint => ({
  method: "POST",
  path: "/broker/queues/:queue/redrive",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  byLink: true,
  query: NO_QUERY,
  docs: {
    summary: "Move dead letters back into the topic of the queue. Needs admin for that topic",
    tag: "queues",
    body: REDRIVE_BODY,
    answer: REDRIVEN,
    errors: [...QUEUE_BODY_ERRORS, ...QUEUE_ERRORS, "data_damaged", "cluster_not_upgraded"],
  },
  handle: async (context) => {
    const name = context.path("queue");
    const { max = null, per_second: perSecond = null } = await readOptionalJson(
      context,
      REDRIVE_BODY,
    );
    await demandQueue(services, queues, context, name, "admin");
    services.allowLong(context.request);
    const result = await queues.redrive({ queue: name, max, perSecond });
    if (!result.ok) return queueRejected(services, context, result, name);
    const { moved, remaining } = result;
    return json<RedrivenAnswer>({ ok: true, queue: name, moved, remaining });
  },
});

const stopRedrive = (services: Services, queues: QueueApi): Endpoint => ({
  method: "DELETE",
  path: "/broker/queues/:queue/redrive",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "End a redrive with a rate. Needs admin for the topic of the queue",
    tag: "queues",
    answer: REDRIVE_STOPPED,
    errors: [...QUEUE_ERRORS, "cluster_not_upgraded"],
  },
  handle: async (context) => {
    const name = context.path("queue");
    await demandQueue(services, queues, context, name, "admin");
    const result = await queues.stopRedrive(name);
    if (!result.ok) return queueRejected(services, context, result, name);
    return json<RedriveStopped>({ ok: true, queue: name, stopped: result.stopped });
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
    errors: [...QUEUE_BODY_ERRORS, ...QUEUE_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("queue");
    await readOptionalJson(context, NO_FIELDS_BODY);
    await demandQueue(services, queues, context, name, "admin");
    const result = await queues.purge(name);
    if (!result.ok) return queueRejected(services, context, result, name);
    return json<Purged>({ ok: true, queue: name, purged: result.purged });
  },
});
