/** CONTRACT 1 and 9: who may ask. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, freshName, type TargetOf } from "../tools/conformance/target.ts";

/** A request of every route that wants a token. */
const PROTECTED = [
  "GET /broker/topics",
  "POST /broker/topics",
  "GET /broker/topics/t",
  "DELETE /broker/topics/t",
  "POST /broker/topics/t/produce",
  "POST /broker/topics/t/produce-ndjson",
  "GET /broker/consume/t/g/0",
  "POST /broker/commit",
  "POST /broker/delete-before",
  "GET /broker/retention",
  "POST /broker/retention",
  "POST /kv/ns/k",
  "GET /kv/ns/k",
  "GET /kv/ns/k/meta",
  "DELETE /kv/ns/k",
  "GET /kv/ns",
  "POST /admin/compact",
  "POST /admin/sealed/gc",
  "GET /admin/sealed/status",
  "GET /admin/backup",
  "GET /no-such-route",
  "PUT /broker/topics",
  "POST /broker/topics/%zz/produce?partition=x",
  "POST /ha/membership/add",
  "GET /",
] as const;

export function register(target: TargetOf): void {
  const client = new Client(target);
  const refused = async (headers: Record<string, string>) => {
    const answer = await client.ask("GET /broker/topics", { token: null, headers });
    expectError(answer, 401, "unauthorized");
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
  };

  describe("authorization", () => {
    for (const line of PROTECTED) {
      test(`${line} without a token is 401, whatever else is wrong`, async () => {
        const answer = await client.ask(line, {
          token: null,
          ...(line.startsWith("POST") ? { body: "{" } : {}),
        });
        expectError(answer, 401, "unauthorized");
        expect(answer.headers.get("www-authenticate")).toBe("Bearer");
      });
    }
    for (const path of ["/health", "/ready", "/metrics", "/metrics_ha", "/openapi.json"]) {
      test(`${path} needs no token, and a wrong one does not hurt`, async () => {
        expect((await client.ask(`GET ${path}`, { token: null })).status).toBe(200);
        expect((await client.ask(`GET ${path}`, { token: "wrong" })).status).toBe(200);
      });
    }
    test("schemes and tokens that are almost right are refused", async () => {
      const { token } = target();
      await refused({ authorization: "" });
      await refused({ authorization: "Bearer" });
      await refused({ authorization: token });
      await refused({ authorization: `Basic ${token}` });
      await refused({ authorization: `Bearer ${token.slice(0, -1)}` });
      await refused({ authorization: `Bearer ${token}x` });
      await refused({ authorization: `Bearer ${token.toUpperCase()}X` });
      await refused({ authorization: `Bearer${token}` });
      await refused({ authorization: `Bearer ${token}@scope` });
      await refused({ authorization: `Bearer ${token}, Bearer wrong` });
      await refused({ authorization: `Bearer wrong, Bearer ${token}` });
      await refused({ "x-authorization": `Bearer ${token}` });
    });
    test("a token in the query is no token", async () => {
      const answer = await client.ask(`GET /broker/topics?token=${target().token}`, {
        token: null,
      });
      expectError(answer, 401, "unauthorized");
    });
    test("the scheme's case does not matter", async () => {
      const headers = { authorization: `bearer ${target().token}` };
      expect((await client.ask("GET /broker/topics", { token: null, headers })).status).toBe(200);
    });
    test("a refused produce stores nothing", async () => {
      const topic = await client.topic("refused");
      expect((await client.produce(topic, "x", "partition=0", { token: "wrong" })).status).toBe(
        401,
      );
      expect(await client.values(topic)).toEqual([]);
    });
  });

  describe("scopes", () => {
    test("a token to read reads and commits, and writes nothing", async () => {
      const { reader } = target();
      if (reader === undefined) return;
      const topic = await client.topic("orders.scope");
      await client.produce(topic, "x");
      const ask = (line: string, body?: object) =>
        client.ask(line, { token: reader, ...(body === undefined ? {} : { body: { ...body } }) });
      for (const line of [
        `GET /broker/topics/${topic}`,
        "GET /broker/topics",
        `GET /broker/consume/${topic}/g/0`,
        "GET /kv/ns",
      ]) {
        expect((await ask(line)).status, line).toBe(200);
      }
      const place = { topic, partition: 0 };
      expect((await ask("POST /broker/commit", { ...place, group: "g", offset: 1 })).status).toBe(
        200,
      );
      for (const [line, body] of [
        [`POST /broker/topics/${topic}/produce`, {}],
        [`POST /broker/topics/${topic}/produce-ndjson`, {}],
        ["POST /broker/topics", { name: freshName("t") }],
        [`DELETE /broker/topics/${topic}`, undefined],
        ["POST /broker/delete-before", { ...place, before_offset: 1 }],
        ["POST /broker/retention", { topic, ttl_ms: 1 }],
        ["POST /broker/retention", { topic: "*", ttl_ms: 1 }],
        ["POST /kv/ns/k", {}],
        ["DELETE /kv/ns/k", undefined],
        ["POST /admin/compact", {}],
        ["GET /admin/sealed/status", undefined],
        ["GET /admin/backup", undefined],
      ] as const) {
        expectError(await ask(line, body), 403, "forbidden");
      }
      expect((await client.consume(topic)).body["count"]).toBe(1);
    });
    test("a token for orders.* writes there and nowhere else", async () => {
      const { ordersWriter } = target();
      if (ordersWriter === undefined) return;
      const token = { token: ordersWriter };
      expect((await client.produce(freshName("orders."), "x", "", token)).status).toBe(200);
      for (const name of [
        freshName("order"),
        freshName("ORDERS."),
        "xorders.a",
        "orders%2E",
        "a%2Forders.x",
      ]) {
        const answer = await client.produce(name, "x", "", token);
        if (name === "orders%2E") expect(answer.status).toBe(200);
        else expectError(answer, 403, "forbidden");
      }
      expectError(
        await client.ask("POST /kv/payments/k", { ...token, body: "x" }),
        403,
        "forbidden",
      );
      expectError(await client.ask("GET /broker/consume/orders.a/g/0", token), 403, "forbidden");
      const list = await client.ask("GET /broker/topics", token);
      expectError(list, 403, "forbidden");
    });
  });
}
