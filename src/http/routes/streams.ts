import { NO_QUERY } from "../../api/common.ts";
import {
  JOIN_BODY,
  JOINED,
  QUERIED,
  QUERY_BODY,
  VIEW,
  VIEW_BODY,
  VIEW_DELETED,
  VIEW_FIELDS,
  VIEW_LIST,
  VIEW_PUT,
  type ViewDeleted,
  type ViewList,
  type ViewPut,
} from "../../api/queries.ts";
import type { Rejected, StreamApi } from "../../node/api.ts";
import { ApiError, type ErrorCode } from "../errors.ts";
import { demandIfKnown, demandKnown, type Known } from "../known.ts";
import { joinBody, queryBody, viewBody } from "../query-answers.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { aboutReader, json, jsonText } from "../responses.ts";
import type { Services } from "../services.ts";
import {
  bodyRejected,
  demandSource,
  readStreamBody,
  STREAM_BODY_BYTES_MAX,
  topicIn,
} from "../stream-body.ts";
import type { Scope } from "../token-spec.ts";

const BODY_ERRORS: readonly ErrorCode[] = [
  "invalid_json",
  "duplicate_field",
  "missing_field",
  "invalid_field",
  "missing_topic",
  "invalid_topic",
  "invalid_group",
  "topic_not_found",
  "partition_not_found",
  "request_too_large",
];
const RUN_ERRORS: readonly ErrorCode[] = [
  ...BODY_ERRORS,
  "data_damaged",
  "query_too_large",
  "overloaded",
];

/**
 * Queries and joins need the scope to read each topic that they name. Views need more, see
 * `putView`.
 */
export const streamEndpoints = (services: Services, streams: StreamApi): readonly Endpoint[] => [
  query(services, streams),
  join(services, streams),
  listViews(streams),
  putView(services, streams),
  getView(services, streams),
  deleteView(services, streams),
];

const query = (services: Services, streams: StreamApi): Endpoint => ({
  method: "POST",
  path: "/broker/query",
  access: { kind: "body", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "Filter, project and aggregate the next records of a partition; commits nothing",
    tag: "streams",
    body: QUERY_BODY,
    answer: QUERIED,
    errors: RUN_ERRORS,
  },
  handle: async (context) => {
    const body = services.compat.queryBody(await readStreamBody(context, QUERY_BODY));
    demandSource(context, body, "source", "read");
    const result = await streams.query({ body: body.text, signal: signalOf(services, context) });
    return result.ok ? jsonText(queryBody(result)) : rejected(services, context, result);
  },
});

const join = (services: Services, streams: StreamApi): Endpoint => ({
  method: "POST",
  path: "/broker/join",
  access: { kind: "body", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "Join the next records of two partitions within a window of time",
    tag: "streams",
    body: JOIN_BODY,
    answer: JOINED,
    errors: RUN_ERRORS,
  },
  handle: async (context) => {
    const body = services.compat.joinBody(await readStreamBody(context, JOIN_BODY));
    demandSource(context, body, "left", "read");
    demandSource(context, body, "right", "read");
    const { joinRules: rules } = services.compat;
    const result = await streams.join({
      body: body.text,
      signal: signalOf(services, context),
      rules,
    });
    return result.ok ? jsonText(joinBody(result)) : rejected(services, context, result);
  },
});

const listViews = (streams: StreamApi): Endpoint => ({
  method: "GET",
  path: "/broker/views",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "The views of the topics that the token may read",
    tag: "streams",
    answer: VIEW_LIST,
    errors: [],
  },
  handle: async ({ principal }) => {
    const views = await streams.listViews();
    return json<ViewList>({
      ok: true,
      views: views.filter(({ topic }) => principal.may("read", topic)),
    });
  },
});

/** A view costs every node permanent work, so it needs the same scope as retention. */
const putView = (services: Services, streams: StreamApi): Endpoint => ({
  method: "PUT",
  path: "/broker/views/:name",
  access: { kind: "body", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary:
      "Keep the aggregates of a query up to date; another query under the name begins anew. " +
      "Needs admin and read for the topic",
    tag: "streams",
    body: VIEW_BODY,
    answer: VIEW_PUT,
    errors: [...BODY_ERRORS, "invalid_view", "too_many_views", "commit_timeout"],
  },
  bodyLimit: () => ({ bytes: STREAM_BODY_BYTES_MAX, code: "request_too_large" }),
  handle: async (context) => {
    const name = context.path("name");
    // The body of a query. Its limits of one read or result have no effect here.
    const body = services.compat.queryBody(await readStreamBody(context, VIEW_FIELDS));
    demandSource(context, body, "source", "admin");
    demandSource(context, body, "source", "read");
    await demandIfKnown(services, context, known(streams, name, "admin"));
    const result = await streams.putView(name, body.text);
    if (!result.ok) {
      const about = aboutReader(result, topicIn(body, "source"), `view "${name}"`);
      return rejected(services, context, result, about);
    }
    return json<ViewPut>({ ok: true, view: name, created: result.created });
  },
});

const getView = (services: Services, streams: StreamApi): Endpoint => ({
  method: "GET",
  path: "/broker/views/:name",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "The aggregates of a view, as far as this node has read",
    tag: "streams",
    answer: VIEW,
    errors: ["invalid_view", "view_not_found", "overloaded"],
  },
  handle: async (context) => {
    const name = context.path("name");
    await demandKnown(services, context, known(streams, name, "read"));
    const result = await streams.getView(name, signalOf(services, context));
    return result.ok
      ? jsonText(viewBody(result))
      : rejected(services, context, result, `view "${name}"`);
  },
});

const deleteView = (services: Services, streams: StreamApi): Endpoint => ({
  method: "DELETE",
  path: "/broker/views/:name",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Delete a view; the records stay. Needs admin for its topic",
    tag: "streams",
    answer: VIEW_DELETED,
    errors: ["invalid_view", "view_not_found", "commit_timeout"],
  },
  handle: async (context) => {
    const name = context.path("name");
    await demandKnown(services, context, known(streams, name, "admin"));
    const result = await streams.deleteView(name);
    if (!result.ok) return rejected(services, context, result, `view "${name}"`);
    return json<ViewDeleted>({ ok: true, view: name, deleted: true });
  },
});

const known = (streams: StreamApi, name: string, scope: Scope): Known => ({
  scope,
  what: `view "${name}"`,
  topics: async () => {
    const topic = await streams.topicOfView(name);
    return topic === null ? null : [topic];
  },
});

/**
 * Returns a signal that aborts when the client disconnects or the server stops. Lifts the idle
 * timeout.
 */
function signalOf(services: Services, context: RequestContext): AbortSignal {
  services.allowLong(context.request);
  return AbortSignal.any([context.request.signal, services.stopping]);
}

function rejected(
  { errorMapper }: Services,
  context: RequestContext,
  rejection: Rejected,
  about = "",
): Response {
  const better = bodyRejected(rejection);
  return better instanceof ApiError
    ? errorMapper.error(better)
    : errorMapper.answer(context, better, about);
}
