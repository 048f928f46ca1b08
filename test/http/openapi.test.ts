import { expect, test } from "bun:test";
import { documentPath } from "../../src/http/openapi.ts";
import { fixture } from "./fixture.ts";

type Operation = {
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
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
  expect(described.sort()).toEqual(served.sort());
  expect(served.length).toBe(new Set(served).size);
});

test("every path parameter and known query parameter is described", async () => {
  const { app } = fixture();
  const paths = await documented();
  for (const { method, path, query } of app.endpoints) {
    const operation = paths[documentPath(path)]?.[method.toLowerCase()];
    const named = operation?.parameters.map((parameter) => `${parameter.in} ${parameter.name}`);
    const wanted = [...documentPath(path).matchAll(/\{(\w+)\}/g)].map(([, name]) => `path ${name}`);
    wanted.push(...Object.keys(query.properties).map((name) => `query ${name}`));
    expect(named).toEqual(wanted);
    expect(operation?.responses).toHaveProperty("200");
  }
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
