/** Webhooks: define, pause, test, rotate, and look at deliveries. All of it needs the scope admin. */
import { NO_FIELDS_BODY, NO_QUERY } from "../../api/common.ts";
import { REDRIVE_BODY } from "../../api/queues.ts";
import {
  DELIVERIES,
  DELIVERIES_QUERY,
  type Deliveries,
  PURGED_WEBHOOK,
  type PurgedWebhook,
  REDRIVEN_WEBHOOK,
  type RedrivenWebhook,
  SECRET_ROTATED,
  type SecretRotated,
  WEBHOOK_BODY,
  WEBHOOK_DELETED,
  WEBHOOK_DESCRIBED,
  WEBHOOK_LIST,
  WEBHOOK_PAUSED,
  WEBHOOK_PUT,
  WEBHOOK_TESTED,
  type WebhookBody,
  type WebhookDeleted,
  type WebhookDescribed,
  type WebhookList,
  type WebhookPaused,
  type WebhookPut,
  type WebhookTested,
} from "../../api/webhooks.ts";
import type {
  Rejected,
  WebhookApi,
  WebhookAttempt,
  WebhookDefinition,
  WebhookSummary,
} from "../../node/api.ts";
import { decodeHeaders } from "../../record/headers.ts";
import { JSON_FIELD_ERRORS, readJsonObject, readOptionalJson } from "../body.ts";
import { deadLetterOf, demandDeadLetter } from "../dead-letters.ts";
import { ApiError, type ErrorCode, shown } from "../errors.ts";
import { readFields, refuseUnknownFields } from "../fields.ts";
import { exactJson, type Json, jsonTextOf } from "../json.ts";
import { demandIfKnown, demandKnown, type Known } from "../known.ts";
import { queryReader } from "../query.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { aboutReader, json } from "../responses.ts";
import type { Services } from "../services.ts";
import { readWebhookHeaders } from "../webhook-headers.ts";

const DELIVERIES_MAX = 100;
const FILTER_CHARACTERS_MAX = 16 * 1024;
const BACKOFF_MS = [1_000, 10_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000];
const BODY_ERRORS: readonly ErrorCode[] = [...JSON_FIELD_ERRORS, "request_too_large"];
const WEBHOOK_ERRORS: readonly ErrorCode[] = [
  "invalid_webhook",
  "webhook_not_found",
  "commit_timeout",
];

export const webhookEndpoints = (services: Services, webhooks: WebhookApi): readonly Endpoint[] => [
  putWebhook(services, webhooks),
  listWebhooks(webhooks),
  describeWebhook(services, webhooks),
  deleteWebhook(services, webhooks),
  setPaused(services, webhooks, "pause"),
  setPaused(services, webhooks, "resume"),
  rotate(services, webhooks),
  test(services, webhooks),
  redrive(services, webhooks),
  purge(services, webhooks),
  deliveries(services, webhooks),
];

const putWebhook = (services: Services, webhooks: WebhookApi): Endpoint => ({
  method: "PUT",
  path: "/broker/webhooks/:webhook",
  access: { kind: "body", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary:
      "Deliver the records of a topic to a URL, or change how. Needs admin for its topic, and admin or write for a dead-letter topic that exists or is named",
    tag: "webhooks",
    body: WEBHOOK_BODY,
    answer: WEBHOOK_PUT,
    errors: [
      ...BODY_ERRORS,
      "invalid_webhook",
      "missing_topic",
      "invalid_topic",
      "topic_not_found",
      "webhook_exists",
      "too_many_webhooks",
      "too_many_partitions",
      "cluster_not_upgraded",
      "commit_timeout",
    ],
  },
  handle: async (context) => {
    const name = context.path("webhook");
    const { definition, isDefault } = await readDefinition(context, name);
    const { topic, deadLetter } = definition;
    context.demand("admin", topic);
    await demandIfKnown(services, context, known(webhooks, name));
    const before = await webhooks.topicsOfWebhook(name);
    await demandDeadLetter(context, {
      ...{ deadLetter, isDefault, before: before?.deadLetter },
      exists: async (wanted) => (await services.node.describeTopic(wanted, 0)).ok,
    });
    const result = await webhooks.define(name, definition);
    if (!result.ok) return rejected(services, context, result, name, topic);
    const { created, secret } = result;
    const told = secret === null ? {} : { secret };
    return json<WebhookPut>({ ok: true, webhook: name, created, ...told });
  },
});

async function readDefinition(
  context: RequestContext,
  name: string,
): Promise<{ readonly definition: WebhookDefinition; readonly isDefault: boolean }> {
  const { ignoresUnknown } = context.route;
  const body = await readJsonObject(context);
  if (!ignoresUnknown) refuseUnknownFields(WEBHOOK_BODY, body);
  // The node reads the conditions, because their numbers may have any size.
  const { filter = null, ...others } = Object.fromEntries(body) as Record<string, Json>;
  const fields = readFields(WEBHOOK_BODY, new Map(Object.entries(others)), ignoresUnknown);
  // The readers of fields leave an object without known fields as the parser has made it.
  const headers = (fields.headers ?? new Map()) as unknown as ReadonlyMap<string, Json>;
  const definition = {
    topic: fields.topic,
    url: fields.url,
    filter: filterText(filter),
    format: fields.format ?? "raw",
    order: fields.order ?? "none",
    maxInFlight: fields.max_in_flight ?? 16,
    timeoutMs: fields.timeout_ms ?? 15_000,
    maxDeliveries: fields.max_deliveries ?? 10,
    backoffMs: fields.backoff_ms ?? BACKOFF_MS,
    deadLetter: deadLetterOf("webhook", name, fields.topic, fields.dead_letter),
    headers: readWebhookHeaders(headers),
    from: fields.from ?? "earliest",
  } as const;
  return { definition, isDefault: fields.dead_letter === undefined };
}

function filterText(filter: Json): string {
  if (filter === null) return "";
  const text = jsonTextOf(filter);
  if (text.length <= FILTER_CHARACTERS_MAX) return text === "[]" ? "" : text;
  throw new ApiError(
    "invalid_field",
    `Field "filter" has ${text.length} characters: at most ${FILTER_CHARACTERS_MAX}`,
  );
}

const listWebhooks = (webhooks: WebhookApi): Endpoint => ({
  method: "GET",
  path: "/broker/webhooks",
  access: { kind: "list", scope: "admin" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "The webhooks of the topics that the token may administer",
    tag: "webhooks",
    answer: WEBHOOK_LIST,
    errors: [],
  },
  handle: async ({ principal }) => {
    const all = await webhooks.listWebhooks();
    const may = all.filter(({ definition }) => principal.may("admin", definition.topic));
    return json<WebhookList>({ ok: true, webhooks: may.map(summaryOf) });
  },
});

const describeWebhook = (services: Services, webhooks: WebhookApi): Endpoint => ({
  method: "GET",
  path: "/broker/webhooks/:webhook",
  access: { kind: "list", scope: "admin" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "Definition and state of a webhook, as far as this node knows",
    tag: "webhooks",
    answer: WEBHOOK_DESCRIBED,
    errors: ["invalid_webhook", "webhook_not_found"],
  },
  handle: async (context) => {
    const name = context.path("webhook");
    await demandKnown(services, context, known(webhooks, name));
    let result = await webhooks.describeWebhook(name);
    if (!result.ok) {
      // This node may lag, so the webhook may exist on the leader.
      const behind = await services.node.catchUp();
      if (behind !== null) return rejected(services, context, behind, name);
      result = await webhooks.describeWebhook(name);
    }
    if (!result.ok) return rejected(services, context, result, name);
    return json<WebhookDescribed>({
      ok: true,
      ...summaryOf(result),
      partitions: result.partitions.map(({ partition, lowOffset, endOffset, unfinished }) => ({
        ...{ partition, unfinished },
        low_offset: lowOffset,
        end_offset: endOffset,
      })),
    });
  },
});

function summaryOf(webhook: WebhookSummary): WebhookList["webhooks"][number] {
  const { definition, paused } = webhook;
  const { headers } = definition;
  return {
    webhook: webhook.name,
    topic: definition.topic,
    url: definition.url,
    ...(definition.filter === ""
      ? {}
      : { filter: exactJson(definition.filter) as NonNullable<WebhookBody["filter"]> }),
    format: definition.format,
    order: definition.order,
    max_in_flight: definition.maxInFlight,
    timeout_ms: definition.timeoutMs,
    max_deliveries: definition.maxDeliveries,
    backoff_ms: definition.backoffMs,
    dead_letter: definition.deadLetter,
    headers: Object.fromEntries(
      decodeHeaders(headers, 0, headers.length).map(({ name, value }) => [name, value]),
    ),
    from: definition.from,
    created_at_ms: webhook.createdAtMs,
    secret_created_at_ms: webhook.secretCreatedAtMs,
    previous_secret_until_ms: webhook.previousSecretUntilMs,
    paused: paused !== null,
    paused_at_ms: paused?.atMs ?? null,
    paused_reason: paused?.reason ?? null,
    ready: webhook.ready,
    in_flight: webhook.inFlight,
    delayed: webhook.delayed,
    dead: webhook.dead,
    delivered: webhook.acked,
    filtered: webhook.filtered,
    purged: webhook.purged,
    redriven: webhook.redriven,
    lost_to_retention: webhook.lost,
    oldest_age_ms: webhook.oldestAgeMs,
  };
}

const deleteWebhook = (services: Services, webhooks: WebhookApi): Endpoint => ({
  method: "DELETE",
  path: "/broker/webhooks/:webhook",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Delete a webhook; its topic and its dead letters stay. Needs admin for its topic",
    tag: "webhooks",
    answer: WEBHOOK_DELETED,
    errors: WEBHOOK_ERRORS,
  },
  handle: async (context) => {
    const name = context.path("webhook");
    await demandKnown(services, context, known(webhooks, name));
    const result = await webhooks.deleteWebhook(name);
    if (!result.ok) return rejected(services, context, result, name);
    return json<WebhookDeleted>({ ok: true, webhook: name, deleted: true });
  },
});

const setPaused = (
  services: Services,
  webhooks: WebhookApi,
  verb: "pause" | "resume",
): Endpoint => ({
  method: "POST",
  path: `/broker/webhooks/:webhook/${verb}`,
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary:
      verb === "pause"
        ? "Begin no further delivery. Needs admin for the topic of the webhook"
        : "Deliver again after a pause. Needs admin for the topic of the webhook",
    tag: "webhooks",
    body: NO_FIELDS_BODY,
    answer: WEBHOOK_PAUSED,
    errors: [...BODY_ERRORS, ...WEBHOOK_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("webhook");
    await readOptionalJson(context, NO_FIELDS_BODY);
    await demandKnown(services, context, known(webhooks, name));
    const result = await webhooks[verb](name);
    if (!result.ok) return rejected(services, context, result, name);
    const paused = verb === "pause";
    return json<WebhookPaused>({ ok: true, webhook: name, paused, changed: result.changed });
  },
});

const rotate = (services: Services, webhooks: WebhookApi): Endpoint => ({
  method: "POST",
  path: "/broker/webhooks/:webhook/rotate",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Make a new secret; both sign for a day. Needs admin for the topic of the webhook",
    tag: "webhooks",
    body: NO_FIELDS_BODY,
    answer: SECRET_ROTATED,
    errors: [...BODY_ERRORS, ...WEBHOOK_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("webhook");
    await readOptionalJson(context, NO_FIELDS_BODY);
    await demandKnown(services, context, known(webhooks, name));
    const result = await webhooks.rotate(name);
    if (!result.ok) return rejected(services, context, result, name);
    const { secret, previousUntilMs } = result;
    return json<SecretRotated>({
      ...{ ok: true, webhook: name, secret },
      previous_secret_until_ms: previousUntilMs,
    });
  },
});

const test = (services: Services, webhooks: WebhookApi): Endpoint => ({
  method: "POST",
  path: "/broker/webhooks/:webhook/test",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  isPoll: true,
  query: NO_QUERY,
  docs: {
    summary:
      "Send a test message to the URL, also while the webhook is paused. Needs admin for its topic",
    tag: "webhooks",
    body: NO_FIELDS_BODY,
    answer: WEBHOOK_TESTED,
    errors: [...BODY_ERRORS, ...WEBHOOK_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("webhook");
    await readOptionalJson(context, NO_FIELDS_BODY);
    await demandKnown(services, context, known(webhooks, name));
    services.allowLong(context.request);
    const result = await webhooks.test(name);
    if (!result.ok) return rejected(services, context, result, name);
    return json<WebhookTested>({ ok: true, webhook: name, delivery: deliveryOf(result.attempt) });
  },
});

const redrive = (services: Services, webhooks: WebhookApi): Endpoint => ({
  method: "POST",
  path: "/broker/webhooks/:webhook/redrive",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Move dead letters back into the topic of the webhook. Needs admin for that topic",
    tag: "webhooks",
    body: REDRIVE_BODY,
    answer: REDRIVEN_WEBHOOK,
    errors: [...BODY_ERRORS, ...WEBHOOK_ERRORS, "data_damaged"],
  },
  handle: async (context) => {
    const name = context.path("webhook");
    const { max = null, per_second: perSecond = null } = await readOptionalJson(
      context,
      REDRIVE_BODY,
    );
    await demandKnown(services, context, known(webhooks, name));
    services.allowLong(context.request);
    const result = await webhooks.redrive(name, { max, perSecond });
    if (!result.ok) return rejected(services, context, result, name);
    const { moved, remaining } = result;
    return json<RedrivenWebhook>({ ok: true, webhook: name, moved, remaining });
  },
});

const purge = (services: Services, webhooks: WebhookApi): Endpoint => ({
  method: "POST",
  path: "/broker/webhooks/:webhook/purge",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary:
      "Finish all present records of a webhook without delivering them; the topic keeps them. Needs admin for it",
    tag: "webhooks",
    body: NO_FIELDS_BODY,
    answer: PURGED_WEBHOOK,
    errors: [...BODY_ERRORS, ...WEBHOOK_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("webhook");
    await readOptionalJson(context, NO_FIELDS_BODY);
    await demandKnown(services, context, known(webhooks, name));
    const result = await webhooks.purge(name);
    if (!result.ok) return rejected(services, context, result, name);
    return json<PurgedWebhook>({ ok: true, webhook: name, purged: result.purged });
  },
});

const readDeliveries = queryReader(DELIVERIES_QUERY);

const deliveries = (services: Services, webhooks: WebhookApi): Endpoint => ({
  method: "GET",
  path: "/broker/webhooks/:webhook/deliveries",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  isPoll: true,
  query: DELIVERIES_QUERY,
  docs: {
    summary: "The last attempts and their answers, since this leader leads",
    tag: "webhooks",
    answer: DELIVERIES,
    errors: ["invalid_webhook", "webhook_not_found", "invalid_parameter"],
  },
  handle: async (context) => {
    const name = context.path("webhook");
    const { status, limit } = readDeliveries(context);
    const isWanted = status === null ? () => true : statusTest(status);
    await demandKnown(services, context, known(webhooks, name));
    const result = await webhooks.deliveries(name);
    if (!result.ok) return rejected(services, context, result, name);
    const max = Math.min(limit ?? DELIVERIES_MAX, DELIVERIES_MAX);
    const wanted = result.attempts.filter(isWanted).slice(0, max);
    return json<Deliveries>({ ok: true, webhook: name, deliveries: wanted.map(deliveryOf) });
  },
});

/** @throws ApiError */
function statusTest(text: string): (attempt: WebhookAttempt) => boolean {
  if (text === "ok") return ({ outcome }) => outcome === "delivered";
  if (text === "failed") return ({ outcome }) => outcome !== "delivered";
  if (text === "none") return ({ status }) => status === null;
  if (/^[1-5][0-9]{2}$/.test(text)) return ({ status }) => status === Number(text);
  if (/^[1-5]xx$/.test(text)) {
    return ({ status }) => status !== null && Math.floor(status / 100) === Number(text[0]);
  }
  throw new ApiError(
    "invalid_parameter",
    `status is ${shown(text)}: it must be ok, failed, none, a status such as 503, or a class such as 5xx`,
  );
}

const deliveryOf = (attempt: WebhookAttempt): Deliveries["deliveries"][number] => ({
  webhook_id: attempt.id,
  test: attempt.record === null,
  partition: attempt.record?.partition ?? null,
  offset: attempt.record?.offset ?? null,
  attempt: attempt.record?.attempt ?? null,
  at_ms: attempt.atMs,
  duration_ms: attempt.durationMs,
  status: attempt.status,
  body: attempt.answer,
  error: attempt.error,
  outcome: attempt.outcome,
});

const known = (webhooks: WebhookApi, name: string): Known => ({
  scope: "admin",
  what: `webhook "${name}"`,
  topics: async () => {
    const topics = await webhooks.topicsOfWebhook(name);
    return topics === null ? null : [topics.topic];
  },
});

function rejected(
  { errorMapper }: Services,
  context: RequestContext,
  rejection: Rejected,
  name: string,
  topic: string | null = null,
): Response {
  return errorMapper.answer(context, rejection, aboutReader(rejection, topic, `webhook "${name}"`));
}
