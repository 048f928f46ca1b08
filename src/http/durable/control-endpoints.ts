/** The routes below `/v1/stream/__ds`: lists, and subscriptions. */
import {
  CLAIM_BODY,
  CLAIMED,
  DURABLE_LIST,
  DURABLE_LIST_QUERY,
  type DurableList,
  LINK_BODY,
  SETTLE_BODY,
  SETTLED,
  STREAM_DETAILS,
  type StreamDetails,
  SUBSCRIPTION,
  SUBSCRIPTION_BODY,
  SUBSCRIPTION_LIST,
  type SubscriptionList,
  WEBHOOK_KEYS,
} from "../../api/durable.ts";
import type {
  ListStreamsRequest,
  StreamList,
  StreamSummary,
  SubscriptionSummary,
} from "../../node/api.ts";
import { nextTurn } from "../answer-streams.ts";
import { queryReader } from "../query.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { json } from "../responses.ts";
import { rejection } from "./answers.ts";
import { made } from "./made.ts";
import { streamOf } from "./names.ts";
import type { DurableServices } from "./services.ts";
import {
  claim,
  deleteSubscription,
  getSubscription,
  linkStreams,
  putSubscription,
  type SettleAction,
  settle,
  unlinkStream,
  webhookKeys,
  withErrors,
} from "./subscriptions.ts";

const LIST_LIMIT_DEFAULT = 100;
const LIST_LIMIT_MAX = 1000;
/** Streams of one look at the node, each of which walks over all paths. */
const LOOKED_AT = 5_000;
const SUBSCRIPTIONS = "/v1/stream/__ds/subscriptions";
const ONE = `${SUBSCRIPTIONS}/:subscription`;
const ANY_TOKEN = { kind: "token" } as const;

const readListQuery = queryReader(DURABLE_LIST_QUERY);

export const controlEndpoints = (services: DurableServices): readonly Endpoint[] => [
  listEndpoint(services),
  detailsEndpoint(services),
  keysEndpoint(services),
  subscriptionsEndpoint(services),
  putEndpoint(services),
  getEndpoint(services),
  deleteEndpoint(services),
  linkEndpoint(services),
  unlinkEndpoint(services),
  claimEndpoint(services),
  ...(["callback", "ack", "release"] as const).map((action) => settleEndpoint(services, action)),
];

const listEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "GET",
    path: "/v1/stream/__ds/streams",
    access: { kind: "list", scope: "read" },
    leaderOnly: false,
    query: DURABLE_LIST_QUERY,
    docs: { summary: "The streams that the token may read", answer: DURABLE_LIST, errors: [] },
    handle: (context) => listStreams(services, context),
  });

const detailsEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "GET",
    path: "/v1/stream/__ds/streams/*",
    access: { kind: "path", scope: "read" },
    leaderOnly: false,
    docs: {
      summary: "One stream with its fork, its forks and its producers; it does not count as a use",
      answer: STREAM_DETAILS,
      errors: ["invalid_stream", "stream_not_found"],
    },
    handle: (context) => describeStream(services, context),
  });

const keysEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "GET",
    path: "/v1/stream/__ds/jwks.json",
    access: { kind: "public" },
    leaderOnly: false,
    docs: {
      summary: "Public keys of the signatures of webhooks",
      answer: WEBHOOK_KEYS,
      mediaTypes: ["application/jwk-set+json"],
      errors: [],
    },
    handle: () => webhookKeys(services),
  });

const subscriptionsEndpoint = ({ durable }: DurableServices): Endpoint =>
  made({
    method: "GET",
    path: SUBSCRIPTIONS,
    access: { kind: "node", scope: "read" },
    leaderOnly: false,
    docs: { summary: "All subscriptions", answer: SUBSCRIPTION_LIST, errors: [] },
    handle: async () => {
      const subscriptions = (await durable.listSubscriptions()).map(subscriptionRow);
      return json<SubscriptionList>({ ok: true, subscriptions });
    },
  });

const putEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "PUT",
    path: ONE,
    access: ANY_TOKEN,
    leaderOnly: true,
    byLink: true,
    docs: {
      summary: "Define a subscription: a webhook or workers are told of new records",
      body: SUBSCRIPTION_BODY,
      answer: SUBSCRIPTION,
      errors: [
        "subscription_exists",
        "webhook_url_rejected",
        "too_many_subscriptions",
        "too_many_links",
        "cluster_not_upgraded",
      ],
    },
    handle: (context) => withErrors(() => putSubscription(services, context)),
  });

const getEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "GET",
    path: ONE,
    access: ANY_TOKEN,
    leaderOnly: false,
    docs: {
      summary: "A subscription, with its position in each stream",
      answer: SUBSCRIPTION,
      errors: ["subscription_not_found"],
    },
    handle: (context) => withErrors(() => getSubscription(services, context)),
  });

const deleteEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "DELETE",
    path: ONE,
    access: ANY_TOKEN,
    leaderOnly: true,
    byLink: true,
    docs: { summary: "Delete a subscription", answer: "bytes", errors: [] },
    handle: (context) => withErrors(() => deleteSubscription(services, context)),
  });

const linkEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "POST",
    path: `${ONE}/streams`,
    access: ANY_TOKEN,
    leaderOnly: true,
    byLink: true,
    docs: {
      summary: "Watch more streams",
      body: LINK_BODY,
      answer: "bytes",
      errors: ["subscription_not_found", "too_many_links"],
    },
    handle: (context) => withErrors(() => linkStreams(services, context)),
  });

const unlinkEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "DELETE",
    path: `${ONE}/streams/*`,
    access: ANY_TOKEN,
    leaderOnly: true,
    byLink: true,
    docs: {
      summary: "Stop watching a stream by its name",
      answer: "bytes",
      errors: ["subscription_not_found"],
    },
    handle: (context) => withErrors(() => unlinkStream(services, context)),
  });

const claimEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "POST",
    path: `${ONE}/claim`,
    access: ANY_TOKEN,
    leaderOnly: true,
    byLink: true,
    docs: {
      summary: "Take the work of a subscription, for the time of a lease",
      body: CLAIM_BODY,
      answer: CLAIMED,
      errors: [
        "subscription_not_found",
        "subscription_not_pull",
        "already_claimed",
        "no_pending_work",
      ],
    },
    handle: (context) => withErrors(() => claim(services, context)),
  });

const SETTLE_SUMMARIES: Readonly<Record<SettleAction, string>> = {
  callback: "Acknowledge records that a webhook was told of",
  ack: "Acknowledge records that a worker has claimed",
  release: "Give claimed work back",
};

/** The token of the wake is checked by the handler. */
const settleEndpoint = (services: DurableServices, action: SettleAction): Endpoint =>
  made({
    method: "POST",
    path: `${ONE}/${action}`,
    access: { kind: "public" },
    leaderOnly: true,
    byLink: true,
    docs: {
      summary: SETTLE_SUMMARIES[action],
      body: SETTLE_BODY,
      answer: SETTLED,
      errors: [
        "subscription_not_found",
        "subscription_not_pull",
        "wake_token_invalid",
        "wake_token_expired",
        "fenced",
        "invalid_ack",
      ],
    },
    handle: (context) => withErrors(() => settle(services, context, action)),
  });

async function listStreams(
  { durable }: DurableServices,
  context: RequestContext,
): Promise<Response> {
  const { prefix, after, limit } = readListQuery(context);
  const request = {
    prefix: prefix ?? "",
    after: after ?? "",
    limit: Math.min(limit ?? LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX),
  };
  const seesAll = context.principal.may("read", null);
  const list = seesAll
    ? await durable.listStreams(request)
    : await permittedStreams(durable, context, request);
  const { streams, next, total } = list;
  return json<DurableList>({ ok: true, streams: streams.map(streamRow), next, total });
}

/**
 * Looks at all streams, so that `next` is never the name of a stream that is not permitted, and `total`
 * counts only those that are.
 */
async function permittedStreams(
  { listStreams: listAll }: DurableServices["durable"],
  { principal }: RequestContext,
  request: ListStreamsRequest,
): Promise<StreamList> {
  const { prefix, after, limit } = request;
  const streams: StreamSummary[] = [];
  let total = 0;
  for (let behind = ""; ; ) {
    const page = await listAll({ prefix: "", after: behind, limit: LOOKED_AT });
    for (const stream of page.streams) {
      if (!principal.may("read", stream.path)) continue;
      total++;
      const isWithin = stream.path > after && stream.path.startsWith(prefix);
      if (isWithin && streams.length <= limit) streams.push(stream);
    }
    if (page.next === null) break;
    behind = page.next;
    await nextTurn();
  }
  const listed = streams.slice(0, limit);
  const next = streams.length > limit ? (listed.at(-1)?.path ?? null) : null;
  return { streams: listed, next, total };
}

async function describeStream(
  services: DurableServices,
  context: RequestContext,
): Promise<Response> {
  const path = streamOf(context);
  const outcome = await services.durable.inspectStream(path);
  if (!outcome.ok) return rejection(services, context, outcome, path);
  return json<StreamDetails>({
    ok: true,
    ...streamRow(outcome),
    fork_offset: outcome.forkOffset,
    fork_sub_offset: outcome.forkSubOffset,
    forks: outcome.forks,
    last_seq: outcome.lastSeq,
    last_use_ms: outcome.lastUseMs,
    producers: outcome.producers.map(({ id, epoch, seq, lastWriteMs }) => ({
      producer_id: id,
      epoch,
      seq,
      last_write_ms: lastWriteMs,
    })),
    producers_total: outcome.producersTotal,
  });
}

const streamRow = (stream: StreamSummary) => ({
  path: stream.path,
  content_type: stream.contentType,
  next_offset: stream.nextOffset,
  records: stream.records,
  bytes: stream.bytes,
  closed: stream.closed,
  deleted: stream.deleted,
  forked_from: stream.forkedFrom,
  ttl_seconds: stream.ttlSeconds,
  expires_at_ms: stream.expiresAtMs,
});

const subscriptionRow = ({ kind, ...subscription }: SubscriptionSummary) => ({
  type: kind,
  ...subscription,
});
