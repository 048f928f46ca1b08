import { expect, test } from "bun:test";
import { documentPath } from "../../src/http/openapi.ts";
import { fixture } from "../tools/http/fixture.ts";

type Operation = {
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
};
type Answered = {
  readonly description: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, unknown>>;
};
type Described = Operation & {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly security: readonly object[];
};
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

const documented = async (): Promise<Paths> => {
  const { body } = await fixture().ask("GET /openapi.json", { token: null });
  return body["paths"] as Paths;
};

test("the document has exactly the routes that Elysia has", async () => {
  const { app } = fixture();
  const served = app.elysia.routes
    .filter(({ method }) => method !== "HEAD")
    .map(({ method, path }) => `${method} ${documentPath(path)}`);
  const described = Object.entries(await documented()).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  // It is answered by the route of its key.
  served.push("GET /kv/{namespace}/{key}/meta");
  expect(described.sort()).toEqual(served.sort());
  expect(served.length).toBe(new Set(served).size);
});

test("every path parameter and known query parameter is described", async () => {
  const { app } = fixture();
  const paths = await documented();
  for (const { method, path, query, prefixed } of app.endpoints) {
    const operation = paths[documentPath(path)]?.[method.toLowerCase()];
    const named = operation?.parameters
      .filter((parameter) => parameter.in !== "header")
      .map((parameter) => `${parameter.in} ${parameter.name}`);
    const wanted = [...documentPath(path).matchAll(/\{(\w+)\}/g)].map(([, name]) => `path ${name}`);
    wanted.push(...Object.keys(query.properties).map((name) => `query ${name}`));
    if (prefixed !== undefined) wanted.push(`query ${prefixed.prefix}name`);
    expect(named).toEqual(wanted);
    expect(operation?.responses).toHaveProperty("200");
  }
});

test("every operation has an id of its own, a tag that is described, and its security", async () => {
  const { body } = await fixture().ask("GET /openapi.json", { token: null });
  const operations = Object.values(
    body["paths"] as Record<string, Record<string, Described>>,
  ).flatMap((each) => Object.values(each));
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toContain("postBrokerTopicsByTopicProduceNdjson");
  expect(ids).toContain("getKvByNamespaceByKeyMeta");
  for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z0-9]*$/);
  const tags = (body["tags"] as { name: string }[]).map(({ name }) => name);
  for (const { tags: own, security } of operations) {
    expect(tags).toEqual(expect.arrayContaining([...own]));
    expect(Array.isArray(security)).toBe(true);
  }
  expect(body["servers"]).toEqual([{ url: ".", description: "The server that has this document" }]);
  expect(body["components"]).toMatchObject({ securitySchemes: { bearer: { scheme: "bearer" } } });
});

test("answers besides 200 are described: 202, 304, 307, streams, bytes, headers", async () => {
  const paths = await documented();
  const answers = (line: string) => {
    const [method = "", path = ""] = line.split(" ");
    return (paths[path]?.[method.toLowerCase()]?.responses ?? {}) as Record<string, Answered>;
  };
  const types = (line: string, status = "200") => Object.keys(answers(line)[status]?.content ?? {});
  for (const line of [
    "POST /broker/topics/{topic}/produce",
    "POST /broker/topics/{topic}/produce-ndjson",
    "POST /kv/{namespace}/{key}",
    "DELETE /kv/{namespace}/{key}",
  ]) {
    expect(types(line, "202")).toEqual(["application/json"]);
    expect(answers(line)["307"]?.headers).toHaveProperty("Location");
    expect(answers(line)["308"]?.content).toEqual({
      "application/json": { schema: { $ref: "#/components/schemas/Redirect" } },
    });
  }
  expect(answers("POST /broker/commit")).toHaveProperty("307");
  expect(answers("POST /broker/query")).not.toHaveProperty("307");
  expect(answers("GET /broker/topics")).not.toHaveProperty("307");
  expect(types("GET /broker/consume/{topic}/{group}/{partition}")).toEqual([
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/cloudevents-batch+json",
    "application/vnd.ayder.batches",
  ]);
  expect(types("GET /kv/{namespace}/{key}")).toEqual([
    "application/json",
    "application/octet-stream",
  ]);
  expect(answers("GET /kv/{namespace}/{key}")["200"]?.headers).toHaveProperty("ETag");
  expect(types("GET /kv/{namespace}/{key}/meta")).toEqual(["application/json"]);
  expect(types("GET /admin/backup")).toEqual(["application/octet-stream"]);
  for (const path of ["/ui", "/ui/{file}"]) {
    expect(types(`GET ${path}`)).toEqual(["text/html"]);
    expect(answers(`GET ${path}`)).toHaveProperty("304");
  }
  expect(types("GET /metrics")).toEqual(["text/plain"]);
  expect(answers("GET /ready")["503"]?.description).toContain("Not ready");
  expect(answers("GET /broker/topics")["401"]?.headers).toHaveProperty("WWW-Authenticate");
  expect(answers("GET /broker/topics")["503"]?.headers).toHaveProperty("Retry-After");
});

test("both doors lead to the same answers", async () => {
  const { app, ask } = fixture();
  await ask("POST /broker/topics/t/produce?partition=0", { body: "x" });
  await ask("POST /kv/ns/a/b", { body: "x" });
  for (const line of [
    "GET /broker/consume/t/g/0?offset=0",
    "GET /kv/ns/a/b",
    "GET /kv/ns/a%2Fb/meta",
    "POST /broker/topics/t/produce?partition=x",
    "GET /broker/consume/t/g/0?limit=0",
  ]) {
    const hot = await ask(line);
    const [method = "", path = ""] = line.split(" ");
    const headers = { authorization: "Bearer test-token" };
    const request = new Request(`http://localhost${path}`, { method, headers });
    const cold = await app.elysia.fetch(request);
    expect({ status: cold.status, body: await cold.json() }).toEqual({
      status: hot.status,
      body: hot.body,
    });
  }
});
