/** The public API as an Elysia application. `server.ts` binds it to a socket. */
import { type AnyElysia, Elysia } from "elysia";
import type { NodeApi } from "../node/api.ts";
import { type AnswerSocket, AnswerStreams } from "./answer-streams.ts";
import { Auth } from "./auth.ts";
import { BodyBytes } from "./body.ts";
import { compatOf } from "./compat.ts";
import { Compression } from "./compression.ts";
import { crossOrigin } from "./durable/cross-origin.ts";
import { durableEndpoints } from "./durable/endpoints.ts";
import { FallbackRoutes } from "./fallback-routes.ts";
import { FollowLimit } from "./follow-limit.ts";
import { forward, type Leader } from "./forward.ts";
import { ForwardSlots } from "./forward-slots.ts";
import { MemoryBudget } from "./memory-budget.ts";
import { Middleware } from "./middleware.ts";
import { DEFAULT_MEMORY, type ForwardOptions, type HttpOptions } from "./options.ts";
import { pathStartOf } from "./raw-url.ts";
import { type Endpoint, type Route, toRoute } from "./request-context.ts";
import { ErrorMapper } from "./responses.ts";
import { HotRouter } from "./router.ts";
import { adminEndpoints } from "./routes/admin.ts";
import { clusterEndpoints } from "./routes/cluster.ts";
import { commitEndpoints } from "./routes/commit.ts";
import { consumeEndpoints } from "./routes/consume.ts";
import { docsEndpoints } from "./routes/docs.ts";
import { exportEndpoints } from "./routes/exports.ts";
import { groupMemberEndpoints } from "./routes/group-members.ts";
import { groupEndpoints } from "./routes/groups.ts";
import { healthEndpoints } from "./routes/health.ts";
import { kvEndpoints } from "./routes/kv.ts";
import { metricsEndpoints } from "./routes/metrics.ts";
import { openApiEndpoint } from "./routes/openapi.ts";
import { produceEndpoints } from "./routes/produce.ts";
import { producerEndpoints } from "./routes/producers.ts";
import { queueEndpoints } from "./routes/queues.ts";
import { retentionEndpoints } from "./routes/retention.ts";
import { scheduleEndpoints } from "./routes/schedules.ts";
import { streamEndpoints } from "./routes/streams.ts";
import { topicEndpoints } from "./routes/topics.ts";
import { uiEndpoints } from "./routes/ui.ts";
import { webhookEndpoints } from "./routes/webhooks.ts";
import type { Services } from "./services.ts";

/** Bun's default limit of concurrent outbound requests. */
const FORWARDS_MAX = 256;
/** Time of the leader for a request that is sent to it, if writes are not forwarded. */
const COMMIT_TIMEOUT_MS = 5_000;

/**
 * Operations that only the server's socket provides. Before `attach`, every request counts as
 * local.
 */
export type Socket = AnswerSocket & {
  isLoopback(request: Request): boolean;
  /** Number of requests whose response is incomplete and whose connection is still open. */
  pending(): number;
};
/** For an application without a server. */
export const NO_SOCKET: Socket = {
  isLoopback: () => true,
  pending: () => Number.POSITIVE_INFINITY,
  allowLong: () => undefined,
  endLong: () => undefined,
  cut: () => undefined,
  acknowledged: () => () => null,
};

export type App = {
  readonly elysia: AnyElysia;
  readonly endpoints: readonly Endpoint[];
  readonly fetch: (request: Request) => Response | Promise<Response>;
  /**
   * Serves a request whose path the runtime has rewritten. Rejects it if the path contains a name.
   */
  readonly fetchRewritten: (request: Request) => Response | Promise<Response>;
  /** Requests whose response is incomplete. */
  busy(): Iterable<Request>;
  /** Called once by the server. */
  attach(socket: Socket): void;
  /** Rejects new requests with 503 and ends waits and streams. Requests in progress continue. */
  beginStop(): void;
};

/** @throws TokenSpecError for tokens that cannot be used. */
export function createApp(node: NodeApi, options: HttpOptions): App {
  const stop = new AbortController();
  let socket = NO_SOCKET;
  const errorMapper = new ErrorMapper(options, () => node.leaderUrl());
  const answers = answerStreams(options, () => socket);
  const compression = new Compression(
    options.compression ?? true,
    answers.budget,
    options.instruments,
    options.shared?.threads,
  );
  const long = new Set<Request>();
  const allowLong = (request: Request) => {
    long.add(request);
    socket.allowLong(request);
  };
  const services: Services = {
    node,
    options,
    compat: compatOf(options.compat),
    errorMapper,
    stopping: stop.signal,
    allowLong,
    answers,
    followLimit: new FollowLimit(options.instruments.followStreams, options.shared?.followStreams),
    compression,
    askLeader: leaderRequests(node, options, () => middleware.bodies),
  };
  const { instruments, log } = options;
  const auth = authOf(options, (request) => socket.isLoopback(request));
  const middleware = new Middleware({
    auth,
    errorMapper,
    instruments,
    log,
    forwardTo: forwardTarget(node, options, options.forwardWrites),
    forwardPollTo: forwardTarget(node, options, options.forwardPolls ?? options.forwardWrites),
    forwardsByLink: () => node.forwardsByLink(),
    streams: answers,
    compression,
    bodies: bodyBytes(options),
    pending: () => socket.pending(),
    allowLong,
    isLong: (request) => long.size > 0 && long.has(request),
    endLong: (request) => {
      if (long.size > 0 && long.delete(request) && !answers.has(request)) socket.endLong(request);
    },
    listenedOn: options.listenedOn ?? "",
    requestBytesMax: options.limits.requestBytesMax,
    stopping: stop.signal,
  });

  const endpoints = allEndpoints(services);
  const routes = endpoints.map((endpoint) =>
    toRoute(endpoint, instruments, services.compat.ignoresUnknown),
  );
  const fallbacks = new FallbackRoutes(routes, instruments);
  const elysia = toElysia(routes, middleware, fallbacks);
  const plain = fetchBy(new HotRouter(routes), elysia, middleware);
  const byOrigin = crossOrigin(options.durable);
  return {
    elysia,
    endpoints,
    fetch: byOrigin(plain),
    fetchRewritten: byOrigin((request) => {
      const fallback = fallbacks.rewritten(request);
      return fallback === null
        ? plain(request)
        : dated(request.method, middleware.serve(fallback, request));
    }),
    busy: () => [...middleware.inFlight, ...answers.requests()],
    attach: (attached) => {
      socket = attached;
    },
    beginStop: () => stop.abort(),
  };
}

const fetchBy =
  (hot: HotRouter, elysia: AnyElysia, middleware: Middleware): App["fetch"] =>
  (request) => {
    const { method } = request;
    const route = hot.find(method, request.url);
    return route === null
      ? dated(method, elysia.fetch(readable(request)))
      : middleware.serve(route, request);
  };

/** Adds the Date header, which Bun leaves out of responses to HEAD. */
function dated(method: string, answer: Response | Promise<Response>): Response | Promise<Response> {
  if (method !== "HEAD") return answer;
  return Promise.resolve(answer).then((response) => {
    response.headers.set("date", new Date().toUTCString());
    return response;
  });
}

/**
 * Returns a function that finds the leader to forward writes to; null if this node handles them
 * itself.
 */
function forwardTarget(
  node: NodeApi,
  { shared, tls: { http: tls } = { http: false, peers: false } }: HttpOptions,
  forwarding: ForwardOptions | undefined,
): () => Leader | null {
  if (forwarding === undefined) return () => null;
  const { commitTimeoutMs, forwardsMax = FORWARDS_MAX } = forwarding;
  // The limit of the runtime is one for the process.
  const slots = new ForwardSlots(Math.max(1, Math.floor(forwardsMax / (shared?.threads ?? 1))));
  return () => {
    const url = node.leaderUrl();
    return url === null ? null : { url, tls, slots, commitTimeoutMs, marks: node };
  };
}

function authOf(options: HttpOptions, isLoopback: Socket["isLoopback"]): Auth {
  const { instruments, shared, now: wallMs = Date.now } = options;
  const { monotonic: monotonicMs = () => performance.now() } = options;
  return new Auth(options.auth, {
    instruments,
    clock: { wallMs, monotonicMs: shared?.monotonicMs ?? monotonicMs },
    isLoopback,
    buckets: shared?.buckets ?? [],
  });
}

/** Returns a function that sends a request without a body to the leader. */
function leaderRequests(
  node: NodeApi,
  options: HttpOptions,
  bodies: () => BodyBytes,
): Services["askLeader"] {
  const { forwardPolls, forwardWrites } = options;
  const forwarding = forwardPolls ?? forwardWrites ?? { commitTimeoutMs: COMMIT_TIMEOUT_MS };
  const leaderOf = forwardTarget(node, options, forwarding);
  const noBody = () => Promise.resolve(null);
  return (request) => {
    const leader = leaderOf();
    if (leader === null) return Promise.resolve(null);
    return forward({ method: request.method }, request, leader, noBody, bodies());
  };
}

function answerStreams(options: HttpOptions, socket: () => Socket): AnswerStreams {
  const { instruments, memory = DEFAULT_MEMORY, shared } = options;
  const { answerBytesInUse, answersRefused } = instruments;
  instruments.answerBytesMax.value = memory.answerBytesMax / (shared?.threads ?? 1);
  return new AnswerStreams({
    budget: new MemoryBudget(
      memory.answerBytesMax,
      answerBytesInUse,
      answersRefused,
      shared?.answers,
    ),
    socket,
    stalledMs: memory.stalledAnswerMs,
    instruments,
  });
}

function bodyBytes({ instruments, memory = DEFAULT_MEMORY, shared }: HttpOptions): BodyBytes {
  const { bodyBytesInUse, bodiesRefused } = instruments;
  const { bodyBytesMax } = memory;
  instruments.bodyBytesMax.value = bodyBytesMax / (shared?.threads ?? 1);
  return new BodyBytes(
    new MemoryBudget(bodyBytesMax, bodyBytesInUse, bodiesRefused, shared?.bodies),
  );
}

function allEndpoints(services: Services): readonly Endpoint[] {
  const { cluster, later, queues, streams, durable, webhooks, exports } = services.options;
  /** Routes of a part of the node that may be absent. */
  const of = <Api>(
    api: Api | undefined,
    make: (services: Services, api: Api) => readonly Endpoint[],
  ): readonly Endpoint[] => (api === undefined ? [] : make(services, api));
  const endpoints: Endpoint[] = [
    ...healthEndpoints(services),
    ...metricsEndpoints(services),
    ...topicEndpoints(services),
    ...produceEndpoints(services),
    ...consumeEndpoints(services),
    ...commitEndpoints(services),
    ...producerEndpoints(services),
    ...groupEndpoints(services),
    ...groupMemberEndpoints(services),
    ...retentionEndpoints(services),
    ...kvEndpoints(services),
    ...adminEndpoints(services),
    ...of(cluster, clusterEndpoints),
    ...of(later, scheduleEndpoints),
    ...of(queues, queueEndpoints),
    ...of(exports, exportEndpoints),
    ...of(webhooks, webhookEndpoints),
    ...of(streams, streamEndpoints),
    ...of(durable, durableEndpoints),
    ...uiEndpoints(),
    ...docsEndpoints(services.options.version),
    ...(services.options.endpoints ?? []),
  ];
  // The document describes its own route too, so it is made on the first request.
  endpoints.push(openApiEndpoint(endpoints, services.options.version));
  return endpoints;
}

/**
 * Elysia only finds the route. It does not read the body (`parse: "none"`), and handlers read path
 * and query from the raw URL, because Elysia's decoding can map two different keys to the same
 * text.
 */
function toElysia(
  routes: readonly Route[],
  middleware: Middleware,
  fallbacks: FallbackRoutes,
): AnyElysia {
  const elysia = new Elysia({
    name: "ayder",
    strictPath: true,
    normalize: false,
  });
  for (const route of routes) {
    const handle = ({ request }: { request: Request }) => middleware.serve(route, askedBy(request));
    elysia.route(route.method, route.path, handle, { parse: "none" });
  }
  return elysia.onError(({ code, error, request: shown }) => {
    const request = askedBy(shown);
    return middleware.serve(
      code === "NOT_FOUND" ? fallbacks.find(request) : fallbacks.broken(error),
      request,
    );
  });
}

/**
 * Elysia searches for the path from this position, so it misses the path after a shorter
 * `http://host`.
 */
const ELYSIA_PATH_FROM = 11;

/** Passed to Elysia in place of a request that it cannot read. */
class ReadableRequest extends Request {
  readonly original: Request;

  constructor(url: string, original: Request) {
    const { method } = original;
    super(url, { method: method === "HEAD" ? "GET" : method });
    this.original = original;
  }
}

/**
 * Returns a request that Elysia can read. HTTP/1.0 requests may lack a Host, and a host may be a
 * single letter. A HEAD becomes a GET, because Elysia would read the whole response body of a HEAD
 * to find its length. The result only serves to find the route. The handler gets the original
 * request.
 */
function readable(request: Request): Request {
  const { url, method } = request;
  const start = pathStartOf(url);
  if (start >= ELYSIA_PATH_FROM && method !== "HEAD") return request;
  const shown = start >= ELYSIA_PATH_FROM ? url : `http://localhost${url.slice(start)}`;
  return new ReadableRequest(shown, request);
}

const askedBy = (request: Request): Request =>
  request instanceof ReadableRequest ? request.original : request;
