/** Builds `/openapi.json` from the table of endpoints that the server uses. */
import type { TObject, TProperties, TSchema } from "@sinclair/typebox";
import { ERROR, REDIRECT } from "../api/errors.ts";
import { type ErrorCode, HTTP_ERRORS } from "./errors.ts";
import { pathSchema } from "./path-parameters.ts";
import type { Endpoint, EndpointDocs } from "./request-context.ts";

type Document = Readonly<Record<string, unknown>>;

/** Errors that every request can get. */
const COMMON_ERRORS: readonly ErrorCode[] = ["invalid_request", "shutting_down", "internal_error"];
/** Errors that every request with a token can get in addition. */
const TOKEN_ERRORS: readonly ErrorCode[] = ["unauthorized", "forbidden", "rate_limited"];
const WRITE_ERRORS: readonly ErrorCode[] = ["no_leader"];

type Tag = {
  readonly description: string;
  /** The page of the manual. */
  readonly page: string;
};

const TAGS: Readonly<Record<string, Tag>> = {
  admin: { description: "Checkpoints and backups", page: "backup" },
  cluster: { description: "Members of the cluster and its leader", page: "cluster" },
  console: { description: "Pages for a browser", page: "console" },
  consume: { description: "Reading records and committing offsets", page: "consume" },
  durable: {
    description: "Streams by the Durable Streams protocol",
    page: "durable-streams",
  },
  exports: { description: "Topics that are written to Parquet files", page: "exports" },
  health: { description: "Health of the process, and this document", page: "operations" },
  kv: { description: "Keys and values", page: "kv" },
  metrics: { description: "Metrics for Prometheus", page: "monitoring" },
  produce: { description: "Writing records", page: "produce" },
  queues: { description: "Queues: each record to one worker", page: "queues" },
  retention: { description: "Age and size limits of topics", page: "topics" },
  webhooks: { description: "Records that are delivered to a URL", page: "webhooks" },
  schedules: { description: "Records that are produced later", page: "schedules" },
  streams: { description: "Queries, joins and views", page: "stream-processing" },
  topics: { description: "Topics and their partitions", page: "topics" },
};

/** Addresses are relative to this document, so that they work behind a proxy that adds a prefix. */
const manual = (path: string) => ({ url: `docs${path}`, description: "Manual of this server" });

function tag(name: string): Document {
  const known = TAGS[name];
  if (known === undefined) return { name };
  const { description, page } = known;
  return { name, description, externalDocs: manual(`/${page}`) };
}

export function openApiDocument(endpoints: readonly Endpoint[], version: string): Document {
  const paths: Record<string, Record<string, unknown>> = {};
  const add = (path: string, method: string, described: Document) => {
    paths[path] = { ...paths[path], [method.toLowerCase()]: described };
  };
  for (const endpoint of endpoints) {
    const path = documentPath(endpoint.path);
    add(path, endpoint.method, operation(endpoint, path));
    const { below } = endpoint.docs;
    if (below === undefined) continue;
    const { errors, tag } = endpoint.docs;
    const docs = { summary: below.summary, answer: below.answer, errors, tag };
    add(path + below.path, endpoint.method, operation({ ...endpoint, docs }, path + below.path));
  }
  const used = [...new Set(endpoints.map(({ docs }) => docs.tag))].sort();
  return {
    openapi: "3.1.0",
    info: {
      title: "Ayder",
      version,
      description: "HTTP-native durable event log",
      license: { name: "MIT", identifier: "MIT" },
    },
    // Relative to this document, so that it is correct behind a proxy that adds a prefix.
    servers: [{ url: ".", description: "The server that has this document" }],
    externalDocs: manual(""),
    tags: used.map(tag),
    paths,
    components: {
      schemas: { Error: ERROR, Redirect: REDIRECT },
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "A token of RF_BEARER_TOKENS" },
      },
    },
  };
}

/** `/kv/:namespace/*` as `/kv/{namespace}/{key}`. */
export const documentPath = (path: string): string =>
  path.replace(/:(\w+)/g, "{$1}").replace("*", `{${restNameOf(path)}}`);

/** The name in the documentation of the remainder of a path. */
function restNameOf(path: string): string {
  if (path.startsWith("/kv/")) return "key";
  return path.startsWith("/v1/stream/") ? "stream" : "file";
}

/**
 * `GET /broker/topics/{topic}` as `getBrokerTopicsByTopic`. Operation ids are stable and unique.
 */
function operationId(method: string, path: string): string {
  const words = path.split("/").flatMap((segment) => {
    const parameter = /^\{(\w+)\}$/.exec(segment)?.[1];
    return parameter === undefined ? segment.split(/[^A-Za-z0-9]+/) : ["by", parameter];
  });
  const capitals = words
    .filter((word) => word !== "")
    .map((word) => word[0]?.toUpperCase() + word.slice(1));
  return method.toLowerCase() + capitals.join("");
}

function operation(
  { method, access, leaderOnly, query, prefixed, docs }: Endpoint,
  shown: string,
): Document {
  const secured = access.kind !== "public";
  const writes = leaderOnly;
  const errors = [
    ...COMMON_ERRORS,
    ...(secured ? TOKEN_ERRORS : []),
    ...(writes ? WRITE_ERRORS : []),
    ...docs.errors,
  ];
  return {
    operationId: operationId(method, shown),
    summary: docs.summary,
    tags: [docs.tag],
    security: secured ? [...(access.kind === "metrics" ? [{}] : []), { bearer: [] }] : [],
    ...("scope" in access ? { "x-scope": access.scope } : {}),
    parameters: [
      ...pathParameters(shown),
      ...queryParameters(query),
      ...prefixedParameters(prefixed),
      ...headerParameters(docs),
    ],
    ...(docs.body === undefined ? {} : { requestBody: requestBody(docs.body) }),
    responses: {
      ...answers(docs, "timeout_ms" in query.properties, !writes && docs.answer !== "bytes"),
      ...(writes ? REDIRECTS : {}),
      ...failures(errors),
      ...otherAnswers(docs),
    },
  };
}

const pathParameters = (path: string) =>
  [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: pathSchema(name),
  }));

const queryParameters = (query: TObject<TProperties>) =>
  Object.entries(query.properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: query.required?.includes(name) === true,
    schema,
  }));

/** OpenAPI cannot describe a parameter name with a variable part: `name` stands for that part. */
const prefixedParameters = (prefixed: Endpoint["prefixed"]) =>
  prefixed === undefined
    ? []
    : [
        {
          name: `${prefixed.prefix}name`,
          in: "query",
          required: false,
          description: prefixed.means,
          schema: { type: "string" },
        },
      ];

function headerParameters({ requestHeaders = {}, conditional }: EndpointDocs) {
  const all = {
    ...requestHeaders,
    ...(conditional ? { "If-None-Match": "Answers 304 if the ETag is one of these" } : {}),
  };
  return Object.entries(all).map(([name, description]) => ({
    name,
    in: "header",
    required: false,
    description,
    schema: { type: "string" },
  }));
}

const BINARY = { schema: { type: "string", format: "binary" } };
const TEXT = { schema: { type: "string" } };

const requestBody = (body: TSchema | "bytes") =>
  body === "bytes"
    ? { content: { "application/octet-stream": BINARY, "*/*": BINARY } }
    : { required: true, content: { "application/json": { schema: body } } };

const headersOf = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [
      name,
      { description, schema: { type: "string" } },
    ]),
  );

/** Headers of responses that are compressed if the client asks for it. */
const ENCODED = {
  "Content-Encoding": "gzip or zstd, if Accept-Encoding asks for it and there are 1 KiB or more",
  Vary: "Accept-Encoding, if the answer may be compressed",
};

/**
 * @param mayBeLong the response may be compressed.
 * @param mayWait the endpoint may return 202 while the write is still in progress.
 */
function answers(docs: EndpointDocs, mayWait: boolean, mayBeLong: boolean): Document {
  const { answerHeaders = {}, conditional } = docs;
  const headers = headersOf({
    ...(conditional ? { ETag: "Changes with the content" } : {}),
    ...(mayBeLong ? ENCODED : {}),
    ...answerHeaders,
  });
  const content = answerContent(docs);
  const done = { content, ...(Object.keys(headers).length === 0 ? {} : { headers }) };
  return {
    "200": { description: "Done", ...done },
    ...(mayWait
      ? {
          "202": {
            description: "timeout_ms passed first: the write goes on, synced is false",
            ...done,
          },
        }
      : {}),
    ...(conditional ? { "304": { description: "Not changed: If-None-Match has its ETag" } } : {}),
  };
}

function answerContent({ answer, mediaTypes = [] }: EndpointDocs): Document {
  const types = (schema: Document) => Object.fromEntries(mediaTypes.map((type) => [type, schema]));
  if (answer === "text") return mediaTypes.length === 0 ? { "text/plain": TEXT } : types(TEXT);
  if (answer === "bytes") return { "application/octet-stream": BINARY };
  const others = mediaTypes.map((type) => [type, type.startsWith("text/") ? TEXT : BINARY]);
  return { "application/json": { schema: answer }, ...Object.fromEntries(others) };
}

const redirect = {
  description: "This node follows: the leader takes the request at Location",
  headers: headersOf({ Location: "The same path and query at the leader" }),
  content: { "application/json": { schema: { $ref: "#/components/schemas/Redirect" } } },
};
const REDIRECTS = { "307": redirect, "308": redirect };

const FAILURE_HEADERS: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  401: { "WWW-Authenticate": "Bearer" },
  429: { "Retry-After": "Seconds" },
  503: { "Retry-After": "Seconds" },
};

/** One entry for each status, with its error codes. */
function failures(codes: readonly ErrorCode[]): Document {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = HTTP_ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const entries = [...byStatus].map(([status, its]) => {
    const headers = FAILURE_HEADERS[status];
    return [
      String(status),
      {
        description: its.map((code) => `${code}: ${HTTP_ERRORS[code].message}`).join("; "),
        ...(headers === undefined ? {} : { headers: headersOf(headers) }),
        content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
      },
    ];
  });
  return Object.fromEntries(entries);
}

const otherAnswers = ({ others = {} }: EndpointDocs): Document =>
  Object.fromEntries(
    Object.entries(others).map(([status, { means, answer }]) => [
      status,
      { description: means, content: { "application/json": { schema: answer } } },
    ]),
  );
