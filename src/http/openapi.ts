/** `/openapi.json`, made from the same table of endpoints that is served. */
import type { TObject, TProperties, TSchema } from "@sinclair/typebox";
import type { Endpoint, EndpointDocs } from "./call.ts";
import { type ErrorCode, HTTP_ERRORS } from "./errors.ts";
import { ERROR } from "./schemas.ts";

type Document = Readonly<Record<string, unknown>>;

/** What every request with a token can meet. */
const COMMON_ERRORS: readonly ErrorCode[] = [
  "invalid_request",
  "unauthorized",
  "forbidden",
  "rate_limited",
  "shutting_down",
  "internal_error",
];

export function openApiDocument(endpoints: readonly Endpoint[], version: string): Document {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const endpoint of endpoints) {
    const path = documentPath(endpoint.path);
    paths[path] = { ...paths[path], [endpoint.method.toLowerCase()]: operation(endpoint) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Ayder", version, description: "HTTP-native durable event log" },
    paths,
    components: {
      schemas: { Error: ERROR },
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    },
  };
}

/** `/kv/:namespace/*` as `/kv/{namespace}/{key}`. */
export const documentPath = (path: string): string =>
  path.replace(/:(\w+)/g, "{$1}").replace("*", "{key}");

function operation({ path, access, query, docs }: Endpoint): Document {
  const secured = access.kind !== "public";
  return {
    summary: docs.summary,
    tags: [docs.tag],
    security: secured ? [...(access.kind === "metrics" ? [{}] : []), { bearer: [] }] : [],
    ...("scope" in access ? { "x-scope": access.scope } : {}),
    parameters: [...pathParameters(path), ...queryParameters(query)],
    ...(docs.body === undefined ? {} : { requestBody: requestBody(docs.body) }),
    responses: {
      ...answers(docs),
      ...failures(secured ? [...COMMON_ERRORS, ...docs.errors] : docs.errors),
    },
  };
}

const pathParameters = (path: string) =>
  [...documentPath(path).matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: name === "partition" ? "integer" : "string" },
  }));

const queryParameters = (query: TObject<TProperties>) =>
  Object.entries(query.properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema,
  }));

const requestBody = (body: TSchema | "bytes") =>
  body === "bytes"
    ? { content: { "*/*": { schema: { type: "string", format: "binary" } } } }
    : { required: true, content: { "application/json": { schema: body } } };

const answers = ({ answer }: EndpointDocs) => ({
  "200": {
    description: "Done",
    content: answerContent(answer),
  },
});

function answerContent(answer: EndpointDocs["answer"]): Document {
  if (answer === "text") return { "text/plain": { schema: { type: "string" } } };
  if (answer !== "bytes") return { "application/json": { schema: answer } };
  return { "application/octet-stream": { schema: { type: "string", format: "binary" } } };
}

/** One entry a status, with the codes that it can hold. */
function failures(codes: readonly ErrorCode[]): Document {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = HTTP_ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const entries = [...byStatus].map(([status, its]) => [
    String(status),
    {
      description: its.map((code) => `${code}: ${HTTP_ERRORS[code].message}`).join("; "),
      content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
    },
  ]);
  return Object.fromEntries(entries);
}
