/** Subscriptions, with the errors that the protocol has for them. */
import type {
  Rejected,
  SettleWakeReject,
  Subscription,
  SubscriptionStream,
} from "../../node/api.ts";
import { readBytes } from "../body.ts";
import { ApiError, HTTP_ERRORS, shown } from "../errors.ts";
import { demandKnown } from "../known.ts";
import type { RequestContext } from "../request-context.ts";
import type { Scope } from "../token-spec.ts";
import { originOf } from "./answers.ts";
import { checkStream, trimSlashes } from "./names.ts";
import type { DurableServices } from "./services.ts";

const LEASE_MS_DEFAULT = 30_000;
const LEASE_MS_MIN = 1_000;
const LEASE_MS_MAX = 600_000;
const ID_BYTES_MAX = 256;
const PATTERN_BYTES_MAX = 1024;
const DESCRIPTION_BYTES_MAX = 4096;
const URL_BYTES_MAX = 2048;
const ACKS_MAX = 10_000;
const BODY_BYTES_MAX = 1024 * 1024;

/** Codes of the protocol that differ from ours in upper case. */
const CODES: Readonly<Record<string, string>> = {
  subscription_exists: "SUBSCRIPTION_ALREADY_EXISTS",
  subscription_not_pull: "INVALID_REQUEST",
  wake_token_invalid: "TOKEN_INVALID",
  wake_token_expired: "TOKEN_EXPIRED",
  invalid_ack: "INVALID_OFFSET",
};

class SubscriptionError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, status: number, message: string) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const invalid = (message: string): SubscriptionError =>
  new SubscriptionError("INVALID_REQUEST", 400, message);

/** Turns what a handler throws for a request into an answer of the protocol. */
export async function withErrors(handle: () => Promise<Response>): Promise<Response> {
  try {
    return await handle();
  } catch (error) {
    if (!(error instanceof SubscriptionError)) throw error;
    return errorAnswer(error.status, { code: error.code, message: error.message });
  }
}

export const unknownRoute = (): Response =>
  errorAnswer(404, {
    code: "SUBSCRIPTION_NOT_FOUND",
    message: "Durable Streams control route not found",
  });

const errorAnswer = (status: number, error: object): Response =>
  Response.json({ error }, { status });

function rejection(
  services: DurableServices,
  context: RequestContext,
  rejected: Rejected,
): Response {
  if (rejected.code === "not_leader") return services.errorMapper.answer(context, rejected);
  const { status, message } = HTTP_ERRORS[rejected.code];
  const { currentHolder, generation } = rejected.details ?? {};
  return errorAnswer(status, {
    code: CODES[rejected.code] ?? rejected.code.toUpperCase(),
    message: rejected.message ?? message,
    ...(currentHolder === undefined ? {} : { current_holder: currentHolder, generation }),
  });
}

export async function putSubscription(
  services: DurableServices,
  context: RequestContext,
): Promise<Response> {
  const id = idOf(context);
  const body = await objectOf(context);
  const kind = body["type"];
  if (kind !== "webhook" && kind !== "pull-wake") {
    throw invalid('type must be "webhook" or "pull-wake"');
  }
  const pattern = patternOf(body["pattern"]);
  const streams = body["streams"] === undefined ? [] : pathsOf(body["streams"]);
  if (pattern === null && streams.length === 0) {
    throw invalid("At least one of pattern or streams is required");
  }
  if (body["filter"] !== undefined && body["filter"] !== null) {
    throw invalid("filter is not supported: the worker must filter what it reads");
  }
  const wakeStream = optionalPath("wake_stream", body["wake_stream"]);
  if (kind === "pull-wake" && wakeStream === null) {
    throw invalid("pull-wake subscriptions require wake_stream");
  }
  demandAll(context, "admin", pattern, streams);
  demandAll(context, "read", pattern, streams);
  if (wakeStream !== null) context.demand("write", wakeStream);
  const outcome = await services.durable.putSubscription({
    id,
    kind,
    pattern,
    streams,
    webhookUrl: kind === "webhook" ? webhookUrlOf(body["webhook"]) : null,
    wakeStream,
    leaseMs: leaseOf(body["lease_ttl_ms"]),
    description: textOf("description", body["description"], DESCRIPTION_BYTES_MAX),
    origin: await originOf(services, context),
  });
  if (!outcome.ok) return rejection(services, context, outcome);
  return Response.json(viewOf(outcome.subscription), { status: outcome.created ? 201 : 200 });
}

export async function getSubscription(
  services: DurableServices,
  context: RequestContext,
): Promise<Response> {
  const id = idOf(context);
  await demandOf(services, context, id, "read");
  const outcome = await services.durable.describeSubscription(id);
  if (!outcome.ok) return rejection(services, context, outcome);
  return Response.json(viewOf(outcome));
}

export async function deleteSubscription(
  services: DurableServices,
  context: RequestContext,
): Promise<Response> {
  const id = idOf(context);
  await demandOf(services, context, id, "admin");
  const outcome = await services.durable.deleteSubscription(id);
  return outcome.ok ? new Response(null, { status: 204 }) : rejection(services, context, outcome);
}

export async function linkStreams(
  services: DurableServices,
  context: RequestContext,
): Promise<Response> {
  const id = idOf(context);
  const { streams } = await objectOf(context);
  const paths = pathsOf(streams);
  if (paths.length === 0) throw invalid("streams must be a non-empty string array");
  demandAll(context, "admin", null, paths);
  demandAll(context, "read", null, paths);
  await demandOf(services, context, id, "admin");
  return await changeLinks(services, context, { id, paths, unlink: false });
}

export async function unlinkStream(
  services: DurableServices,
  context: RequestContext,
): Promise<Response> {
  const path = checkStream(trimSlashes(context.pathText("*")));
  context.demand("admin", path);
  const id = idOf(context);
  await demandOf(services, context, id, "admin");
  return await changeLinks(services, context, { id, paths: [path], unlink: true });
}

async function changeLinks(
  services: DurableServices,
  context: RequestContext,
  request: { id: string; paths: readonly string[]; unlink: boolean },
): Promise<Response> {
  const outcome = await services.durable.linkStreams(request);
  return outcome.ok ? new Response(null, { status: 204 }) : rejection(services, context, outcome);
}

export async function claim(services: DurableServices, context: RequestContext): Promise<Response> {
  const id = idOf(context);
  await demandOf(services, context, id, "read");
  const { worker } = await objectOf(context);
  if (typeof worker !== "string" || worker === "" || worker.length > ID_BYTES_MAX) {
    throw invalid(`worker must be a string of 1 to ${ID_BYTES_MAX} characters`);
  }
  const outcome = await services.durable.claimWake(id, worker);
  if (!outcome.ok) return rejection(services, context, outcome);
  return Response.json({
    wake_id: outcome.wakeId,
    generation: outcome.generation,
    token: outcome.token,
    streams: outcome.streams.map(streamViewOf),
    lease_ttl_ms: outcome.leaseMs,
  });
}

/** The token of the wake is what allows these, not a token of the API. */
export type SettleAction = "callback" | "ack" | "release";

export async function settle(
  services: DurableServices,
  context: RequestContext,
  action: SettleAction,
): Promise<Response> {
  const id = idOf(context);
  const token = bearerOf(context);
  const body = await objectOf(context);
  const { wake_id: wakeId, generation } = body;
  const outcome = await services.durable.settleWake({
    id,
    pull: action !== "callback",
    token,
    // A wake that is not named is none of this subscription.
    wakeId: typeof wakeId === "string" ? wakeId : "",
    generation:
      Number.isSafeInteger(generation) && Number(generation) >= 0 ? Number(generation) : 0,
    acks: action === "release" ? [] : acksOf(body["acks"]),
    done: action === "release" || body["done"] === true,
  });
  if (!outcome.ok) {
    const rejected: Rejected<SettleWakeReject> = outcome;
    return rejection(services, context, rejected);
  }
  if (action === "release") return new Response(null, { status: 204 });
  return Response.json({ ok: true, next_wake: outcome.nextWake });
}

export async function webhookKeys({ durable }: DurableServices): Promise<Response> {
  const keys = (await durable.webhookKeys()).map(({ kid, x }) => ({
    kty: "OKP",
    crv: "Ed25519",
    x,
    kid,
    use: "sig",
    alg: "EdDSA",
  }));
  return new Response(JSON.stringify({ keys }), {
    headers: { "content-type": "application/jwk-set+json", "cache-control": "public, max-age=300" },
  });
}

function bearerOf({ request }: RequestContext): string {
  const [, token] = /^bearer[ \t]+(.+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  if (token !== undefined) return token;
  throw new SubscriptionError("TOKEN_INVALID", 401, "Missing or malformed Authorization header");
}

function idOf(context: RequestContext): string {
  const id = context.pathText("subscription");
  const bytes = Buffer.byteLength(id);
  if (bytes >= 1 && bytes <= ID_BYTES_MAX) return id;
  throw invalid(`the id has ${bytes} bytes; it must have 1 to ${ID_BYTES_MAX}`);
}

/** An absent body is an empty object. */
async function objectOf(context: RequestContext): Promise<Readonly<Record<string, unknown>>> {
  const { request, bodies } = context;
  const bytes = await readBytes(request, bodies, BODY_BYTES_MAX, "request_too_large");
  if (bytes.length === 0) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid("Invalid JSON body");
  }
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) {
    return parsed as Readonly<Record<string, unknown>>;
  }
  throw invalid("Request body must be a JSON object");
}

function pathsOf(value: unknown): string[] {
  if (!Array.isArray(value)) throw invalid("streams must be an array of paths");
  return value.map((path) => checkedPath("streams", path));
}

const optionalPath = (name: string, value: unknown): string | null =>
  value === undefined || value === null ? null : checkedPath(name, value);

function checkedPath(name: string, value: unknown): string {
  if (typeof value !== "string") throw invalid(`${name}: ${shown(value)} is not a path`);
  try {
    return checkStream(trimSlashes(value));
  } catch (error) {
    if (error instanceof ApiError) throw invalid(`${name}: ${error.message}`);
    throw error;
  }
}

function patternOf(value: unknown): string | null {
  const text = textOf("pattern", value, PATTERN_BYTES_MAX);
  const pattern = text === null ? "" : trimSlashes(text);
  return pattern === "" ? null : pattern;
}

function webhookUrlOf(value: unknown): string {
  const url = typeof value === "object" && value !== null && "url" in value ? value.url : undefined;
  const text = textOf("webhook.url", url, URL_BYTES_MAX);
  if (text !== null && text !== "") return text;
  throw invalid("webhook subscriptions require webhook.url");
}

function textOf(name: string, value: unknown, bytesMax: number): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" && Buffer.byteLength(value) <= bytesMax) return value;
  throw invalid(`${name} must be a string of at most ${bytesMax} bytes`);
}

function leaseOf(value: unknown): number {
  if (value === undefined) return LEASE_MS_DEFAULT;
  if (Number.isInteger(value) && Number(value) >= LEASE_MS_MIN && Number(value) <= LEASE_MS_MAX) {
    return Number(value);
  }
  throw invalid(`lease_ttl_ms must be an integer from ${LEASE_MS_MIN} to ${LEASE_MS_MAX}`);
}

function acksOf(value: unknown): { path: string; offset: string }[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > ACKS_MAX) {
    throw invalid(`acks must be an array of at most ${ACKS_MAX}`);
  }
  return value.map((ack: unknown) => {
    const fields: Readonly<Record<string, unknown>> =
      typeof ack === "object" && ack !== null ? (ack as Record<string, unknown>) : {};
    const offset = fields["offset"];
    if (typeof offset !== "string" || !/^[0-9]{16}_[0-9]{16}$/.test(offset)) {
      throw new SubscriptionError("INVALID_OFFSET", 409, `Ack offset is ${shown(offset)}`);
    }
    return { path: checkedPath("acks", fields["stream"] ?? fields["path"]), offset };
  });
}

/** A pattern with `**` may match any stream, so it needs the scope for all names. */
function demandAll(
  context: RequestContext,
  scope: Scope,
  pattern: string | null,
  streams: readonly string[],
): void {
  if (pattern !== null) context.demand(scope, pattern.includes("**") ? null : pattern);
  for (const stream of streams) context.demand(scope, stream);
}

/** Demands the scope that the definition of the subscription needed, so that it stays its owner's. */
const demandOf = (
  services: DurableServices,
  context: RequestContext,
  id: string,
  scope: Scope,
): Promise<void> =>
  demandKnown(services, context, {
    scope,
    what: `subscription ${shown(id)}`,
    topics: async () => {
      const known = await find(services, id);
      if (known === null || known.pattern?.includes("**") === true) return null;
      return known.pattern === null ? known.names : [known.pattern, ...known.names];
    },
  });

/**
 * The subscription; null if it does not exist.
 *
 * @throws ApiError if this cannot be learnt, since a permission depends on it.
 */
async function find({ durable }: DurableServices, id: string): Promise<Subscription | null> {
  const known = await durable.describeSubscription(id);
  if (known.ok) return known;
  if (known.code === "subscription_not_found") return null;
  throw new ApiError(known.code, known.message);
}

const streamViewOf = ({ path, byName, acked, tail, pending }: SubscriptionStream) => ({
  path,
  link_type: byName ? "explicit" : "glob",
  acked_offset: acked,
  tail_offset: tail,
  has_pending: pending,
});

function viewOf(subscription: Subscription): object {
  const { id, kind, pattern, webhookUrl, wakeStream, leaseMs, description } = subscription;
  const jwksUrl = `${subscription.origin}/v1/stream/__ds/jwks.json`;
  const signing = { alg: "ed25519", kid: subscription.keyId, jwks_url: jwksUrl };
  return {
    id,
    subscription_id: id,
    type: kind,
    ...(pattern === null ? {} : { pattern }),
    streams: subscription.streams.map(streamViewOf),
    streams_total: subscription.streamsTotal,
    ...(webhookUrl === null ? {} : { webhook: { url: webhookUrl, signing } }),
    ...(wakeStream === null ? {} : { wake_stream: wakeStream }),
    lease_ttl_ms: leaseMs,
    created_at: new Date(subscription.createdAtMs).toISOString(),
    status: subscription.failures > 0 ? "failed" : "active",
    ...(description === null ? {} : { description }),
  };
}
