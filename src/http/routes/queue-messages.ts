/** Messages of queues: receive, acknowledge, give back, prolong, put aside. */
import { NO_QUERY } from "../../api/common.ts";
import {
  ACK_BODY,
  EXTEND_BODY,
  NACK_BODY,
  RECEIVE_QUERY,
  RECEIVED,
  REJECT_BODY,
  SETTLED,
  type SettledMessages,
} from "../../api/queues.ts";
import type { QueueApi, Rejected, Result, Settlement, SettleRequest } from "../../node/api.ts";
import { readJson } from "../body.ts";
import { queryReader } from "../query.ts";
import { demandQueue, QUEUE_BODY_ERRORS, QUEUE_ERRORS, queueRejected } from "../queue-answers.ts";
import { receivedText } from "../received.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { hotJson, json } from "../responses.ts";
import type { Services } from "../services.ts";

const MAX_DEFAULT = 1;
const RECEIVE_MAX = 100;

/** All of them need the scope to read the topic of the queue. */
export const queueMessageEndpoints = (
  services: Services,
  queues: QueueApi,
): readonly Endpoint[] => [
  receive(services, queues),
  ack(services, queues),
  nack(services, queues),
  extend(services, queues),
  reject(services, queues),
];

const readReceive = queryReader(RECEIVE_QUERY);

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
    await demandQueue(queues, context, name, "read");
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
    if (!result.ok) return queueRejected(services, context, result, name);
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
    errors: [...QUEUE_BODY_ERRORS, ...QUEUE_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("queue");
    const { receipts, how } = await read(context);
    await demandQueue(queues, context, name, "read");
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
    errors: [...QUEUE_BODY_ERRORS, ...QUEUE_ERRORS, "data_damaged", "too_many_partitions"],
  },
  handle: async (context) => {
    const name = context.path("queue");
    const { receipts, reason = null } = await readJson(context, REJECT_BODY);
    await demandQueue(queues, context, name, "read");
    const result = await queues.reject({ queue: name, receipts, reason });
    return settled(services, context, name, receipts, result);
  },
});

function settled(
  services: Services,
  context: RequestContext,
  name: string,
  receipts: readonly string[],
  result: Result<{ results: readonly Settlement[] }, Rejected["code"]>,
): Response {
  if (!result.ok) return queueRejected(services, context, result, name);
  const results = result.results.map((error, at) => {
    const receipt = receipts[at] ?? "";
    return error === null ? { receipt, ok: true } : { receipt, ok: false, error };
  });
  return json<SettledMessages>({ ok: true, results });
}
