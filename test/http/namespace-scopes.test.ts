/** A namespace is deleted by tokens for administration of that name, and keys by tokens that may write. */
import { expect, test } from "bun:test";
import { fixture } from "../tools/http/fixture.ts";

const TOKENS = "every,reader@read,writer@write,operator@admin=orders.*";

test("deleting a namespace needs the scope admin for its name", async () => {
  const { ask, node } = fixture({ auth: { tokens: TOKENS, skipPrefixes: [] } });
  const put = { token: "every", body: "x" };
  for (const space of ["orders.a", "payments"]) await ask(`POST /kv/${space}/k`, put);
  const { calls } = node;
  for (const [token, space] of [
    ["reader", "orders.a"],
    ["writer", "orders.a"],
    ["operator", "payments"],
  ] as const) {
    const { status, body } = await ask(`DELETE /kv/${space}`, { token });
    expect({ status, error: body["error"] }).toEqual({ status: 403, error: "forbidden" });
  }
  expect(node.calls).toBe(calls);
  expect((await ask("DELETE /kv/payments/k", { token: "writer" })).body["deleted"]).toBe(true);
  expect((await ask("DELETE /kv/orders.a", { token: "operator" })).body).toMatchObject({ keys: 1 });
  const { body } = await ask("GET /kv", { token: "every" });
  expect(body["namespaces"]).toEqual([{ namespace: "payments", revision: 1, keys: 0, bytes: 0 }]);
});
