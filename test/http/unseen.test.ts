/**
 * Goal: a token that is limited to names learns nothing about what belongs to other topics. All
 * methods give it the same answer for what is of other topics and for what does not exist, and a token
 * without that limit learns which of the two it is.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const directory = temporaryDirectory();
const lake = join(directory.path, "lake");
let server: Server;
/** Names of things that belong to the topic `theirs`, by kind. */
const names: Record<string, string> = {};

type Fields = Record<string, unknown>;
async function ask(token: string, line: string, body?: object): Promise<Fields> {
  const [method = "", path = ""] = line.split(" ");
  const response = await fetch(server.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { ...(text === "" ? {} : (JSON.parse(text) as Fields)), status: response.status };
}
async function must(line: string, body?: object): Promise<Fields> {
  const answer = await ask("root", line, body);
  if (Number(answer["status"]) >= 300) throw new Error(`${line}: ${JSON.stringify(answer)}`);
  return answer;
}

const QUERY = { source: { topic: "theirs" }, aggregate: { measures: [{ op: "count" }] } };
const SUBSCRIPTIONS = "/v1/stream/__ds/subscriptions";

beforeAll(async () => {
  mkdirSync(lake);
  server = await startServer({
    dataDir: join(directory.path, "data"),
    env: {
      RF_WEBHOOK_ALLOW: "127.0.0.1",
      RF_EXPORT_DIR: lake,
      RF_HTTP_ADDR: "127.0.0.1",
      RF_BEARER_TOKENS: "root,own@read=own.*+write=own.*+admin=own.*",
    },
  });
  for (const name of ["own.a", "theirs"]) {
    await must("POST /broker/topics", { name, partitions: 1 });
    await must(`POST /broker/topics/${name}/produce`, { a: 1 });
  }
  await must("PUT /broker/queues/jobs", { topic: "theirs" });
  await must("PUT /broker/webhooks/hook", { topic: "theirs", url: "http://127.0.0.1:1/" });
  await must("PUT /broker/exports/lake", { topic: "theirs", url: `file://${lake}/a` });
  await must("PUT /broker/views/sums", QUERY);
  await must("PUT /broker/schedules/nightly", { cron: "0 9 * * *", topic: "theirs", value: "x" });
  const later = await must("POST /broker/topics/theirs/produce?delay_ms=86400000", { a: 1 });
  names["waiting"] = String(later["schedule_id"]);
  await must("POST /broker/commit", { topic: "theirs", group: "team", partition: 0, offset: 1 });
  await must(`PUT ${SUBSCRIPTIONS}/bell`, {
    type: "webhook",
    pattern: "theirs/*",
    webhook: { url: "http://127.0.0.1:1/" },
  });
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

/** `NAME` stands for the thing. */
type Case = readonly [line: string, body?: object];
const RECEIPTS = { receipts: ["q1-0-0-1"] };
const KINDS: readonly (readonly [kind: string, name: string, cases: readonly Case[]])[] = [
  [
    "groups",
    "team",
    [
      ["GET /broker/groups/NAME"],
      ["DELETE /broker/groups/NAME"],
      ["POST /broker/groups/NAME/seek", { to: "latest" }],
      ["POST /broker/groups/NAME/seek", { topic: "own.a", to: "latest" }],
      ["POST /broker/groups/NAME/seek", { topic: "theirs", to: "latest" }],
    ],
  ],
  [
    "queues",
    "jobs",
    [
      ["GET /broker/queues/NAME"],
      ["POST /broker/queues/NAME/receive"],
      ["POST /broker/queues/NAME/ack", RECEIPTS],
      ["POST /broker/queues/NAME/nack", RECEIPTS],
      ["POST /broker/queues/NAME/extend", { ...RECEIPTS, by_ms: 1000 }],
      ["POST /broker/queues/NAME/reject", RECEIPTS],
      ["POST /broker/queues/NAME/redrive"],
      ["DELETE /broker/queues/NAME/redrive"],
      ["POST /broker/queues/NAME/purge"],
      ["DELETE /broker/queues/NAME"],
    ],
  ],
  [
    "webhooks",
    "hook",
    [
      ["GET /broker/webhooks/NAME"],
      ["GET /broker/webhooks/NAME/deliveries"],
      ...["pause", "resume", "rotate", "test", "redrive", "purge"].map(
        (verb): Case => [`POST /broker/webhooks/NAME/${verb}`],
      ),
      ["DELETE /broker/webhooks/NAME"],
    ],
  ],
  [
    "exports",
    "lake",
    [
      ["GET /broker/exports/NAME"],
      ...["pause", "resume", "flush"].map((verb): Case => [`POST /broker/exports/NAME/${verb}`]),
      ["DELETE /broker/exports/NAME"],
    ],
  ],
  ["views", "sums", [["GET /broker/views/NAME"], ["DELETE /broker/views/NAME"]]],
  ["schedules", "nightly", [["GET /broker/schedules/NAME"], ["DELETE /broker/schedules/NAME"]]],
  ["waiting", "", [["GET /broker/schedules/NAME"], ["DELETE /broker/schedules/NAME"]]],
  [
    "streams",
    "theirs/1",
    [
      ["GET /v1/stream/NAME"],
      ["PUT /v1/stream/NAME"],
      ["POST /v1/stream/NAME", { a: 1 }],
      ["DELETE /v1/stream/NAME"],
    ],
  ],
  [
    "subscriptions",
    "bell",
    [
      [`GET ${SUBSCRIPTIONS}/NAME`],
      [`POST ${SUBSCRIPTIONS}/NAME/streams`, { streams: ["own.x"] }],
      [`DELETE ${SUBSCRIPTIONS}/NAME/streams/own.x`],
      [`POST ${SUBSCRIPTIONS}/NAME/claim`, { worker: "w" }],
      [`DELETE ${SUBSCRIPTIONS}/NAME`],
    ],
  ],
];

for (const [kind, given, cases] of KINDS) {
  const nameOf = () => (given === "" ? (names[kind] ?? "") : given);
  const absentOf = (name: string) => (kind === "waiting" ? "delayed:999999" : `absent-${name}`);
  // A case without a body must not be taken for one with a callback.
  const rows = cases.map(([line, body]) => ({ line, body }));
  test.each(rows)(`${kind}: $line`, async ({ line, body }) => {
    const name = nameOf();
    const absent = absentOf(name);
    const theirs = await ask("own", line.replace("NAME", name), body);
    const none = await ask("own", line.replace("NAME", absent), body);
    expect(theirs).toMatchObject({ status: 403, error: "forbidden" });
    // Nothing but the name, which the client has sent, differs.
    const told = JSON.stringify(none).replaceAll(absent, name);
    expect(told).toBe(JSON.stringify(theirs));
    const names = JSON.stringify({
      ...theirs,
      message: String(theirs["message"]).replace(name, ""),
    });
    if (body === undefined) expect(names).not.toContain("theirs");
  });
}

test("for a token without a limit, what does not exist is 404, and what exists is there", async () => {
  for (const [kind, given, cases] of KINDS) {
    if (kind === "streams") continue;
    const name = given === "" ? (names[kind] ?? "") : given;
    const absent = kind === "waiting" ? "delayed:999999" : `absent-${name}`;
    const [line = ""] = cases[0] ?? [];
    expect((await ask("root", line.replace("NAME", absent)))["status"]).toBe(404);
    expect((await ask("root", line.replace("NAME", name)))["status"]).toBe(200);
  }
});

test("what belongs to topics of the token is its own", async () => {
  expect(await ask("own", "PUT /broker/queues/mine", { topic: "own.a" })).toMatchObject({
    status: 200,
    created: true,
  });
  expect((await ask("own", "GET /broker/queues/mine"))["status"]).toBe(200);
  const commit = { topic: "own.a", group: "crew", partition: 0, offset: 1 };
  await ask("own", "POST /broker/commit", commit);
  expect((await ask("own", "GET /broker/groups/crew"))["status"]).toBe(200);
  const seek = await ask("own", "POST /broker/groups/crew/seek", {
    topic: "own.a",
    to: "earliest",
  });
  expect(seek["status"]).toBe(200);
  // The group has committed in another topic too, which only the other token sees.
  await must("POST /broker/commit", { ...commit, topic: "theirs" });
  const described = await ask("own", "GET /broker/groups/crew");
  expect(JSON.stringify(described)).not.toContain("theirs");
  expect((await ask("own", "DELETE /broker/groups/crew"))["status"]).toBe(403);
  expect((await ask("root", "DELETE /broker/groups/crew"))["status"]).toBe(200);
  expect((await ask("own", "DELETE /broker/queues/mine"))["status"]).toBe(200);
  // A name that another topic uses cannot be taken.
  const taken = await ask("own", "PUT /broker/queues/jobs", { topic: "own.a" });
  expect(taken).toMatchObject({
    status: 403,
    message: 'The token\'s "admin" scope does not cover queue "jobs"',
  });
});
