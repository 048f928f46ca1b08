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
  SUBSCRIPTION,
  SUBSCRIPTION_BODY,
  SUBSCRIPTION_LIST,
  type SubscriptionList,
  WEBHOOK_KEYS,
} from "../../api/durable.ts";
import type { StreamSummary, SubscriptionSummary } from "../../node/api.ts";
import { queryReader } from "../query.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { json } from "../responses.ts";
import { made } from "./made.ts";
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
const SUBSCRIPTIONS = "/v1/stream/__ds/subscriptions";
const ONE = `${SUBSCRIPTIONS}/:subscription`;
const ANY_TOKEN = { kind: "token" } as const;

const readListQuery = queryReader(DURABLE_LIST_QUERY);

export const controlEndpoints = (services: DurableServices): readonly Endpoint[] => [
  listEndpoint(services),
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
    docs: { summary: "Delete a subscription", answer: "bytes", errors: [] },
    handle: (context) => withErrors(() => deleteSubscription(services, context)),
  });

const linkEndpoint = (services: DurableServices): Endpoint =>
  made({
    method: "POST",
    path: `${ONE}/streams`,
    access: ANY_TOKEN,
    leaderOnly: true,
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
  const list = await durable.listStreams({
    prefix: prefix ?? "",
    after: after ?? "",
    limit: Math.min(limit ?? LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX),
  });
  const { principal } = context;
  const streams = list.streams.filter(({ path }) => principal.may("read", path)).map(streamRow);
  return json<DurableList>({ ok: true, streams, next: list.next, total: list.total });
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
