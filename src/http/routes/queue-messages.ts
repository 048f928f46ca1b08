/** Messages of queues: receive, acknowledge, give back, prolong, put aside. */
import { NO_QUERY } from "../../api/common.ts";
import {
  ACK_BODY,
  EXTEND_BODY,
  NACK_BODY,
  RECEIPTS_MAX,
  RECEIVE_MAX,
  RECEIVE_QUERY,
  RECEIVED,
  REJECT_BODY,
  SETTLED,
} from "../../api/queues.ts";
import type { QueueApi, Rejected, Result, Settlement, SettleRequest } from "../../node/api.ts";
import { hasBody, JSON_BODY_BYTES_MAX, readJson, refuseFields, takeBytes } from "../body.ts";
import { readFields } from "../fields.ts";
import { parseJsonObject } from "../json.ts";
import { readByUrl } from "../known-urls.ts";
import { queryReader } from "../query.ts";
import { demandQueue, QUEUE_BODY_ERRORS, QUEUE_ERRORS, queueRejected } from "../queue-answers.ts";
import { ReceivedWriter } from "../received.ts";
import { type Endpoint, LATER, type RequestContext } from "../request-context.ts";
import { hotJson } from "../responses.ts";
import type { Services } from "../services.ts";

const MAX_DEFAULT = 1;

/** All of them need the scope to read the topic of the queue. */
export const queueMessageEndpoints = (
  services: Services,
  queues: QueueApi,
): readonly Endpoint[] => [
  receive(services, queues, readByUrl(readReceive)),
  ack(services, queues, readByUrl(readName)),
  nack(services, queues),
  extend(services, queues),
  reject(services, queues),
];

const WRITER = new ReceivedWriter();
const readQuery = queryReader(RECEIVE_QUERY);

const readName = (context: RequestContext): string => context.path("queue");

/** Reads the URL of a request for messages. */
function readReceive(context: RequestContext) {
  const queue = readName(context);
  const query = readQuery(context);
  return {
    queue,
    max: Math.min(query.max ?? MAX_DEFAULT, RECEIVE_MAX),
    waitMs: query.wait_ms ?? 0,
    visibilityMs: query.visibility_ms,
    isBase64: query.encoding === "b64",
  };
}

const receive = (services: Services, queues: QueueApi, read: typeof readReceive): Endpoint => ({
  method: "POST",
  path: "/broker/queues/:queue/receive",
  access: { kind: "list", scope: "read" },
  leaderOnly: true,
  byLink: true,
  isPoll: true,
  isHot: true,
  query: RECEIVE_QUERY,
  docs: {
    summary: "Lease messages, or wait for one. Needs read for the topic of the queue",
    tag: "queues",
    answer: RECEIVED,
    errors: [...QUEUE_BODY_ERRORS, ...QUEUE_ERRORS, "data_damaged"],
  },
  handle: (context) => {
    const { queue, max, waitMs, visibilityMs, isBase64 } = read(context);
    const lease = () =>
      whenAllowed(services, queues, context, queue, () => {
        const signal = waitMs > 0 ? () => waits(services, context) : null;
        const request = { queue, max, waitMs, visibilityMs, signal };
        whenKnown(context, queues.receive(request), (result) => {
          if (!result.ok) return queueRejected(services, context, result, queue);
          // The queue was deleted and made anew for another topic after the first look.
          if (result.messages.length > 0) context.demand("read", result.topic);
          const { instruments } = services.options;
          return hotJson(context.request, WRITER.write(result, isBase64, instruments));
        });
      });
    if (!hasBody(context.request)) return lease();
    refuseFields(context)
      .then(lease)
      .catch((error: unknown) => context.fail(error));
    return LATER;
  },
});

/** Signals are not free, so a request has one only while it waits. */
function waits(services: Services, { request }: RequestContext): AbortSignal {
  services.allowLong(request);
  return AbortSignal.any([request.signal, services.stopping]);
}

/** Calls `then` when the token may read the topic of the queue. `then` ends the request. */
function whenAllowed(
  services: Services,
  queues: QueueApi,
  context: RequestContext,
  name: string,
  then: () => void,
): typeof LATER {
  const allowed = demandQueue(services, queues, context, name, "read");
  if (allowed instanceof Promise) allowed.then(then).catch((error: unknown) => context.fail(error));
  else then();
  return LATER;
}

/** Ends the request with the answer that `answer` makes of the outcome. */
function whenKnown<T>(
  context: RequestContext,
  outcome: Promise<T>,
  answer: (outcome: T) => Response,
): void {
  outcome.then(
    (known) => context.answer(() => answer(known)),
    (error: unknown) => context.fail(error),
  );
}

type SettleDocs = {
  readonly verb: "nack" | "extend";
  readonly summary: string;
  readonly body: typeof NACK_BODY | typeof EXTEND_BODY;
  readonly read: (
    context: RequestContext,
  ) => Promise<{ receipts: readonly string[]; how: SettleRequest["how"] }>;
};

const SETTLE = {
  method: "POST",
  access: { kind: "list", scope: "read" },
  leaderOnly: true,
  byLink: true,
  query: NO_QUERY,
} as const;

const settle = (
  services: Services,
  queues: QueueApi,
  { verb, summary, body, read }: SettleDocs,
): Endpoint => ({
  ...SETTLE,
  path: `/broker/queues/:queue/${verb}`,
  isHot: true,
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
    await demandQueue(services, queues, context, name, "read");
    const result = await queues.settle({ queue: name, receipts, how });
    return settled(services, context, name, receipts, result);
  },
});

const ack = (services: Services, queues: QueueApi, nameOf: typeof readName): Endpoint => ({
  ...SETTLE,
  path: "/broker/queues/:queue/ack",
  isHot: true,
  docs: {
    summary: "Acknowledge messages: they are finished. Needs read for the topic of the queue",
    tag: "queues",
    body: ACK_BODY,
    answer: SETTLED,
    errors: [...QUEUE_BODY_ERRORS, ...QUEUE_ERRORS],
  },
  handle: (context) => {
    const name = nameOf(context);
    return takeBytes(context, JSON_BODY_BYTES_MAX, "request_too_large", (body) => {
      const receipts =
        plainReceipts(body) ??
        readFields(ACK_BODY, parseJsonObject(body), context.route.ignoresUnknown).receipts;
      whenAllowed(services, queues, context, name, () => {
        const request = { queue: name, receipts, how: { kind: "ack" } } as const;
        whenKnown(context, queues.settle(request), (result) =>
          settled(services, context, name, receipts, result),
        );
      });
    });
  },
});

/** Bodies with nothing but receipts that this server may have written: most have one. */
const ONE_RECEIPT =
  /^[ \t\r\n]*\{[ \t\r\n]*"receipts"[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*"([q0-9-]{1,64})"[ \t\r\n]*\][ \t\r\n]*\}[ \t\r\n]*$/;
const SOME_RECEIPTS =
  /^[ \t\r\n]*\{[ \t\r\n]*"receipts"[ \t\r\n]*:[ \t\r\n]*\[[ \t\r\n]*"[q0-9-]{1,64}"(?:[ \t\r\n]*,[ \t\r\n]*"[q0-9-]{1,64}")*[ \t\r\n]*\][ \t\r\n]*\}[ \t\r\n]*$/;
const RECEIPT = /[q0-9-]+/g;
/** Before it are the brackets and the name. */
const NAME_END = '"receipts"'.length;
/** Another byte than those of ASCII becomes a character that no receipt has. */
const ASCII = new TextDecoder("latin1");

/** Returns the receipts of such a body; null for any other, which has to be parsed and checked. */
function plainReceipts(body: Uint8Array): readonly string[] | null {
  const text = ASCII.decode(body);
  const one = ONE_RECEIPT.exec(text)?.[1];
  if (one !== undefined) return [one];
  if (!SOME_RECEIPTS.test(text)) return null;
  const receipts = text.slice(text.indexOf('"') + NAME_END).match(RECEIPT) ?? [];
  return receipts.length <= RECEIPTS_MAX ? receipts : null;
}

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
  byLink: true,
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
    await demandQueue(services, queues, context, name, "read");
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
  const { results } = result;
  if (results.length === 1 && results[0] === null) {
    return hotJson(
      context.request,
      `{"ok":true,"results":[{"receipt":"${receipts[0]}","ok":true}]}`,
    );
  }
  if (results.length > 0 && results.every((error) => error === null)) {
    // A receipt that was given out has no character that JSON escapes.
    const all = receipts.join('","ok":true},{"receipt":"');
    return hotJson(context.request, `{"ok":true,"results":[{"receipt":"${all}","ok":true}]}`);
  }
  let list = "";
  for (let at = 0; at < results.length; at++) {
    const receipt = receipts[at] ?? "";
    const error = results[at] ?? null;
    if (at > 0) list += ",";
    if (error === null) list += `{"receipt":"${receipt}","ok":true}`;
    else list += `{"receipt":${JSON.stringify(receipt)},"ok":false,"error":"${error}"}`;
  }
  return hotJson(context.request, `{"ok":true,"results":[${list}]}`);
}
