/** Compares each answer of the suite with the schema that the route declares for it. */
import { Value } from "@sinclair/typebox/value";
import type { ClusterApi, StreamApi } from "../../../src/node/api.ts";
import { FakeLater } from "../http/fake-later.ts";
import { FakeQueues } from "../http/fake-queues.ts";
import { FakeWebhooks } from "../http/fake-webhooks.ts";
import { fixture } from "../http/fixture.ts";

/** Handlers are not called, so the parts of the node may be empty. */
const { endpoints } = fixture({
  cluster: {} as ClusterApi,
  streams: {} as StreamApi,
  queues: new FakeQueues(),
  later: new FakeLater(),
  webhooks: new FakeWebhooks(),
}).app;
const routes = endpoints.flatMap(({ method, path, docs }) => {
  const pattern = path.replaceAll(/:\w+/g, "[^/]+").replace("*", ".+");
  const at = (ending: string) => ({ method, pattern: new RegExp(`^${pattern}${ending}$`) });
  const { below } = docs;
  const route = { ...at(""), answer: docs.answer };
  return below === undefined ? [route] : [{ ...at(below.path), answer: below.answer }, route];
});

/** @returns what differs; null if nothing does, or if the answer has no schema. */
export function wrongAnswer(line: string, status: number, body: unknown): string | null {
  const space = line.indexOf(" ");
  const path = line.slice(space + 1).split("?")[0] ?? "";
  const route = routes.find(
    (each) => each.method === line.slice(0, space) && each.pattern.test(path),
  );
  if (route === undefined || (status !== 200 && status !== 202)) return null;
  if (typeof route.answer === "string") return null;
  const [wrong] = Value.Errors(route.answer, body);
  return wrong === undefined ? null : `${line}: ${wrong.path} is wrong: ${wrong.message}`;
}
