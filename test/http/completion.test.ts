/** A handler completes in one of three ways; every request is counted and answered once. */
import { expect, test } from "bun:test";
import { NO_QUERY, OK, type Ok } from "../../src/api/common.ts";
import { type Endpoint, LATER, type RequestContext } from "../../src/http/request-context.ts";
import { json } from "../../src/http/responses.ts";
import { fixture } from "../tools/http/fixture.ts";

const ok = () => json<Ok>({ ok: true });
const endpoint = (name: string, handle: Endpoint["handle"]): Endpoint => ({
  method: "GET",
  path: `/test/${name}/:topic`,
  access: { kind: "token" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: { summary: name, tag: "topics", answer: OK, errors: [] },
  handle,
});
const soon = (context: RequestContext, end: () => void) => {
  Promise.resolve().then(end, (error: unknown) => context.fail(error));
  return LATER;
};

const HANDLERS: Readonly<Record<string, Endpoint["handle"]>> = {
  now: ok,
  promise: async () => ok(),
  later: (context) => soon(context, () => context.end(ok())),
  laterAtOnce: (context) => {
    context.end(ok());
    return LATER;
  },
  answer: (context) => soon(context, () => context.answer(ok)),
  throws: () => {
    throw new Error("broken");
  },
  rejects: async () => {
    throw new Error("broken");
  },
  fails: (context) => soon(context, () => context.fail(new Error("broken"))),
  answerThrows: (context) =>
    soon(context, () =>
      context.answer(() => {
        throw new Error("broken");
      }),
    ),
};

for (const [name, handle] of Object.entries(HANDLERS)) {
  test(`${name}: one response, counted once, nothing left in flight`, async () => {
    const { ask, options } = fixture({ endpoints: [endpoint(name, handle)] });
    const answer = await ask(`GET /test/${name}/t`);
    const isBroken = name.includes("hrows") || name === "rejects" || name === "fails";
    expect(answer.status).toBe(isBroken ? 500 : 200);
    const meter = options.instruments.routes.find(({ route }) => route.includes(`/test/${name}/`));
    expect(meter?.counts).toEqual([0, 0, isBroken ? 0 : 1, 0, 0, isBroken ? 1 : 0]);
    expect(options.instruments.requestsInFlight.value).toBe(0);
  });
}

test("an error after the end of a request changes neither its response nor the counts", async () => {
  const late = endpoint("late", (context) => {
    context.end(ok());
    throw new Error("too late");
  });
  const { ask, options } = fixture({ endpoints: [late] });
  expect((await ask("GET /test/late/t")).status).toBe(200);
  const meter = options.instruments.routes.find(({ route }) => route.includes("/test/late/"));
  expect(meter?.counts).toEqual([0, 0, 1, 0, 0, 0]);
  expect(options.instruments.requestsInFlight.value).toBe(0);
});

test("a handler that reads a parameter which its path does not have is an error", async () => {
  const reads = (name: "topic" | "group") =>
    endpoint(name, (context) => json<object>({ ok: true, value: context.path(name) }));
  const { ask } = fixture({ endpoints: [reads("topic"), reads("group")] });
  expect((await ask("GET /test/topic/t%2e1")).body).toEqual({ ok: true, value: "t.1" });
  expect((await ask("GET /test/topic/%20")).body["error"]).toBe("invalid_topic");
  expect((await ask("GET /test/group/g")).status).toBe(500);
});
