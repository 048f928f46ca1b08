/** Writes through a follower of a real cluster: answers, faults of the leader, proxies, HTTPS. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Asked, ask, workAt } from "../tools/process/forwarded-work.ts";
import { type Break, Front } from "../tools/process/front.ts";
import { startNodes, untilReady } from "../tools/process/nodes.ts";
import { temporaryDirectory } from "../tools/process/server.ts";
import { Authority } from "../tools/transport/certificates.ts";

const TIMEOUT_MS = 180_000;
const FAST = {
  RF_HA_FOLLOWER_WRITES: "forward",
  RF_HA_ELECTION_TIMEOUT_MS: "600",
  RF_HA_HEARTBEAT_MS: "60",
  RF_BEARER_TOKENS: "dev",
};
const directory = temporaryDirectory();
afterAll(() => directory.remove());

/** Longer than what the link between the nodes takes, so it is forwarded over HTTP. */
const LARGE = "x".repeat(200 * 1024);

async function leaderOf(urls: readonly string[]): Promise<number> {
  for (;;) {
    for (const url of urls) {
      const said = await ask(url, "GET /ha/membership").catch(() => null);
      const { nodes = [], leader_id: leader } = (said?.body["membership"] ?? {}) as {
        nodes?: { node_id: string; http_addr: string }[];
        leader_id?: string;
      };
      const address = nodes.find(({ node_id }) => node_id === leader)?.http_addr;
      const at = urls.findIndex((one) => address !== undefined && one.endsWith(`//${address}`));
      if (at >= 0) return at;
    }
    await Bun.sleep(50);
  }
}

/** All values of a topic of one partition, as of the leader. */
async function valuesOf(url: string, topic: string): Promise<string[]> {
  const values: string[] = [];
  for (let offset = 0; ; ) {
    const query = `offset=${offset}&limit=1000&consistency=linearizable`;
    const { status, body } = await ask(url, `GET /broker/consume/${topic}/g/0?${query}`);
    if (status !== 200) continue;
    const messages = body["messages"] as { value: string }[];
    if (messages.length === 0) return values;
    values.push(...messages.map(({ value }) => value));
    offset = Number(body["next_offset"]);
  }
}

async function endAll(children: readonly Subprocess[]): Promise<void> {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.map((child) => child.exited));
}

describe.each(["0", "1"])("a cluster, RF_HA_DEDICATED_WORKER=%s", (dedicated) => {
  let nodes: ReturnType<typeof startNodes>;
  let leader = "";
  let follower = "";
  let leaderProcess: Subprocess | undefined;
  const find = async () => {
    const at = await leaderOf(nodes.urls);
    leader = nodes.urls[at] ?? "";
    follower = nodes.urls[(at + 1) % nodes.urls.length] ?? "";
    leaderProcess = nodes.children[at];
  };
  beforeAll(async () => {
    nodes = startNodes(join(directory.path, `plain-${dedicated}`), {
      ...FAST,
      RF_HA_DEDICATED_WORKER: dedicated,
    });
    await untilReady(nodes.urls);
    await find();
  }, TIMEOUT_MS);
  afterAll(() => endAll(nodes.children));

  test(
    "every write is answered by a follower as by the leader",
    async () => {
      const message = "m".repeat(1024 * 1024);
      const json = (value: object) => ({ body: JSON.stringify(value) });
      const key = "a%2Fb%20c%3F%23%2B+d%E2%82%AC";
      // For each node topics, namespaces and keys of its own, so that both start from nothing.
      const requests = (own: string): readonly (readonly [string, Asked])[] => [
        ["POST /broker/topics", json({ name: own, partitions: 2 })],
        ["POST /broker/topics", json({ name: own, partitions: 3 })],
        ["POST /broker/topics", json({ nam: own })],
        [`POST /broker/topics/${own}/produce?partition=1`, { body: "x" }],
        [`POST /broker/topics/${own}/produce?partition=1&key=%26%3D%25`, { body: "" }],
        [
          `POST /broker/topics/${own}/produce?partition=0`,
          { body: "x", headers: { "idempotency-key": "one" } },
        ],
        [
          `POST /broker/topics/${own}/produce?partition=0`,
          { body: "y", headers: { "idempotency-key": "one" } },
        ],
        [`POST /broker/topics/${own}/produce?partition=0&idempotency_key=one`, { body: "x" }],
        [`POST /broker/topics/${own}/produce?partition=1`, { body: message }],
        [`POST /broker/topics/${own}/produce?partition=1`, { body: `${message}m` }],
        [
          `POST /broker/topics/${own}/produce?partition=1`,
          { body: new Uint8Array(17 * 1024 * 1024) },
        ],
        [`POST /broker/topics/${own}/produce?partition=7`, { body: "x" }],
        [`POST /broker/topics/${own}/produce?partition=1&mode=rocket`, { body: "x" }],
        [`POST /broker/topics/${own}/produce-ndjson?partition=1`, { body: 'a\n\n"b\\u0000"\r\n' }],
        [`POST /broker/topics/${own}/produce-ndjson?partition=1`, { body: "\n" }],
        ["POST /broker/commit", json({ topic: own, group: "g:1", partition: 1, offset: 1000 })],
        ["POST /broker/delete-before", json({ topic: own, partition: 1, before_offset: 1 })],
        ["POST /broker/retention", json({ topic: own, ttl_ms: 1e9 })],
        [`PUT /kv/${own}/${key}?cas=0`, { body: new Uint8Array([0, 255, 13, 10]) }],
        [`PUT /kv/${own}/${key}?cas=0`, { body: "x" }],
        [`POST /kv/${own}/${key}?cas=1&ttl_ms=1000000`, { body: "" }],
        [`DELETE /kv/${own}/${key}?cas=1`, {}],
        [`DELETE /kv/${own}/${key}?cas=2`, {}],
        [`DELETE /kv/${own}/${key}`, {}],
        [`DELETE /kv/${own}/%ff`, {}],
        [`DELETE /kv/${own}/k?cas=01x`, {}],
        [`POST /kv/${own}/k?tlt_ms=1`, { body: "x" }],
        [`PUT /broker/views/${own}`, json({ source: { topic: own }, window: { size_ms: 1000 } })],
        [`DELETE /broker/views/${own}`, {}],
        ["DELETE /broker/groups/g:1", {}],
        ["PATCH /broker/topics", { body: "{}" }],
        [`PUT /broker/topics/${own}/produce`, { body: "x" }],
        [`HEAD /broker/topics/${own}/produce`, {}],
        [`DELETE /broker/topics/${own}/produce?x=1`, {}],
        [`POST /kv/${own}/k?cas=0&cas=0`, { body: "x" }],
        [`POST /kv/${own}/a/meta`, { body: "x" }],
        [`POST /kv/${own}/a/../b`, { body: "x" }],
        ["POST /ha/membership/promote", json({ node_id: "nobody" })],
        ["POST /ha/membership/add", json({ node_id: "node1", advertise_addr: "127.0.0.1:1" })],
        ["POST /broker/topics", { body: "{", headers: { "content-type": "text/plain" } }],
        ["POST /broker/topics", { body: "{}", headers: { "content-encoding": "gzip" } }],
        [`DELETE /broker/topics/${own}`, {}],
        [`DELETE /broker/topics/${own}`, {}],
      ];
      const answers = async (url: string, own: string) => {
        const all: object[] = [];
        for (const [line, asked] of requests(own)) {
          const { status, headers, body } = await ask(url, line, asked);
          delete headers["content-length"];
          const text = JSON.stringify(body).replaceAll(own, "OWN");
          // The index of the entry differs, and how many nodes had fsynced it.
          const same = text.replace(/"(batch_id|acked_by)":[1-9]\d*/g, '"$1":"?"');
          all.push({ line: line.replaceAll(own, "OWN"), status, headers, body: same });
        }
        return all;
      };
      const direct = await answers(leader, "at-leader");
      expect(await answers(follower, "forwarded")).toEqual(direct);
      const statuses = direct.map((answer) => (answer as { status: number }).status);
      for (const status of [200, 400, 404, 409, 413, 415]) expect(statuses).toContain(status);
    },
    TIMEOUT_MS,
  );

  test("values arrive byte for byte, with keys and names as they were written", async () => {
    const value = Buffer.alloc(1024 * 1024, "\u0000\u00ff\r\n", "latin1");
    await ask(follower, "POST /broker/topics/bytes/produce?partition=0&key=%C3%BC%2F%00", {
      body: new Uint8Array(value),
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    const page = await ask(leader, "GET /broker/consume/bytes/g/0?offset=0&encoding=b64");
    const [record] = page.body["messages"] as { value_b64: string; key_b64: string }[];
    expect(Buffer.from(record?.value_b64 ?? "", "base64").equals(value)).toBe(true);
    expect(Buffer.from(record?.key_b64 ?? "", "base64").toString()).toBe("ü/\u0000");
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await ask(follower, "POST /broker/topics/bytes/produce?partition=2&header.b=%C3%BC", {
      body: "x",
      headers: { "ayder-header-a": "1", traceparent: trace, tracestate: "k=v" },
    });
    const stored = await ask(leader, "GET /broker/consume/bytes/g/2?offset=0");
    const [first] = stored.body["messages"] as { headers: object }[];
    expect(first?.headers).toEqual({ a: "1", b: "ü", traceparent: trace, tracestate: "k=v" });
    await ask(follower, "PUT /kv/n/x%2Fy%20%25", { body: "1" });
    const { body } = await ask(leader, "GET /kv/n");
    expect(JSON.stringify(body)).toContain('"x/y %"');
  });

  test(
    "queues, members, streams and schedules work through a follower as at the leader, over the link",
    async () => {
      const linked = async () => {
        const text = await (await fetch(`${follower}/metrics`)).text();
        return Number(/^ayder_forwarded_commands_total (\d+)$/m.exec(text)?.[1]);
      };
      const direct = await workAt(leader, `direct-${dedicated}`);
      const before = await linked();
      expect(await workAt(follower, `linked-${dedicated}`)).toEqual(direct);
      // The definition of the queue goes over HTTP, and the follower itself refuses one request.
      expect((await linked()) - before).toBe(direct.length - 2);
      expect(direct.map(({ status }) => status)).not.toContain(500);
    },
    TIMEOUT_MS,
  );

  test("headers between nodes count from nodes only", async () => {
    const stream = (path: string) => `PUT /v1/stream/marks/${path}-${dedicated}`;
    const forged = {
      "ayder-forwarded": "1",
      "ayder-origin": "https://of-the-client.example",
    };
    const type = { "content-type": "text/plain" };
    for (const [name, url] of Object.entries({ leader, follower })) {
      for (const [size, body] of Object.entries({ small: "x", large: LARGE })) {
        for (const headers of [type, { ...type, ...forged }]) {
          const line = stream(`${name}-${size}-${Object.keys(headers).length}`);
          const made = await ask(url, line, { body, headers });
          const path = line.slice("PUT ".length);
          expect([made.status, made.headers["location"]]).toEqual([201, url + path]);
        }
      }
    }
    const id = `/v1/stream/__ds/subscriptions/marks-${dedicated}`;
    const definition = JSON.stringify({
      type: "webhook",
      streams: [`marks/leader-small-1-${dedicated}`],
      webhook: { url: "https://example.com/" },
    });
    const put = await ask(leader, `PUT ${id}`, { body: definition, headers: forged });
    expect(put.status).toBe(201);
    expect(JSON.stringify(put.body)).toContain(`"jwks_url":"${leader}/v1/stream/__ds/jwks.json"`);
  });

  test(
    "a leader that stands still: 504 after timeout_ms, and a retry finds what was done",
    async () => {
      leaderProcess?.kill("SIGSTOP");
      const line = "POST /broker/topics/bytes/produce?partition=1&idempotency_key=k&timeout_ms=10";
      const late = await ask(follower, line, { body: "x" });
      // An election may have come first; then nothing was done, or the new leader did it.
      expect([200, 503, 504]).toContain(late.status);
      if (late.status === 504) {
        expect(late.body["error"]).toBe("commit_timeout");
        expect(String(late.body["message"])).toContain("The leader did not answer in time");
      }
      leaderProcess?.kill("SIGCONT");
      await untilReady(nodes.urls);
      await find();
      const retry = line.replace("&timeout_ms=10", "");
      let again = await ask(follower, retry, { body: "x" });
      while (again.status !== 200) {
        await Bun.sleep(50);
        again = await ask(follower, retry, { body: "x" });
      }
      const { body } = await ask(leader, "GET /broker/consume/bytes/g/1?offset=0");
      expect(body["count"]).toBe(1);
    },
    TIMEOUT_MS,
  );

  test(
    "a leader that is killed: no false success, and no false failure",
    async () => {
      await ask(follower, "POST /broker/topics", { body: '{"name":"kills","partitions":1}' });
      const outcomes = new Map<string, number>();
      const succeeded = () => [...outcomes.values()].filter((status) => status === 200).length;
      let isOver = false;
      let number = 0;
      const writers = Array.from({ length: 8 }, async () => {
        while (!isOver) {
          const value = `v${number++}`;
          const path = "POST /broker/topics/kills/produce?partition=0";
          const answer = await ask(follower, path, { body: value }).catch(() => null);
          // The follower itself goes on, so it always answers.
          outcomes.set(value, answer?.status ?? 0);
        }
      });
      while (succeeded() < 200) await Bun.sleep(5);
      leaderProcess?.kill("SIGKILL");
      await leaderProcess?.exited;
      const rest = nodes.urls.filter((url) => url !== leader);
      while ((await leaderOf(rest)) < 0) await Bun.sleep(20);
      const before = succeeded();
      while (succeeded() < before + 100) await Bun.sleep(5);
      isOver = true;
      await Promise.all(writers);

      const stored = await valuesOf(follower, "kills");
      const statuses = new Set(outcomes.values());
      for (const status of statuses) expect([200, 503, 504]).toContain(status);
      expect(new Set(stored).size).toBe(stored.length);
      const kept = new Set(stored);
      const wrong = [...outcomes].filter(
        ([value, status]) =>
          (status === 200 && !kept.has(value)) || (status === 503 && kept.has(value)),
      );
      expect(wrong).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

test(
  "a connection to the leader that breaks: 504, done at most once, and a retry tells which",
  async () => {
    const fronts = [new Front(), new Front(), new Front()];
    const ports = await Promise.all(fronts.map((front) => front.listen()));
    const nodes = startNodes(join(directory.path, "fronts"), FAST, "127.0.0.1", ports);
    for (const [i, front] of fronts.entries()) front.target = Number(nodes.urls[i]?.split(":")[2]);
    try {
      await untilReady(nodes.urls);
      const behind = ports.map((port) => `http://127.0.0.1:${port}`);
      const at = await leaderOf(behind);
      const leader = nodes.urls[at] ?? "";
      const follower = nodes.urls[(at + 1) % 3] ?? "";
      const front = fronts[at] as Front;
      const through = async (line: string, breaks: Break, asked: Asked = {}) => {
        // A connection that was used before is the one that runtimes repeat requests on.
        front.breaks = "none";
        for (let i = 0; i < 3; i++) await ask(follower, "PUT /kv/warm/k", { body: LARGE });
        front.breaks = breaks;
        front.lines.length = 0;
        const { status, body } = await ask(follower, line, asked);
        front.breaks = "none";
        expect(front.lines).toEqual([`${line} HTTP/1.1`]);
        expect([line, breaks, status, body["error"]]).toEqual([
          line,
          breaks,
          504,
          "commit_timeout",
        ]);
      };
      const count = async (topic: string) =>
        (await ask(leader, `GET /broker/consume/${topic}/g/0?offset=0`)).body["count"];
      for (const breaks of ["request", "answer", "half"] as const) {
        const isDone = breaks !== "request";
        const topic = `t-${breaks}`;
        await ask(leader, "POST /broker/topics", { body: `{"name":"${topic}","partitions":1}` });
        const produce = `POST /broker/topics/${topic}/produce?partition=0&idempotency_key=k`;
        await through(produce, breaks, { body: LARGE });
        expect(await count(topic)).toBe(isDone ? 1 : 0);
        const retry = await ask(follower, produce, { body: LARGE });
        expect([retry.status, retry.body["duplicate"]]).toEqual([200, isDone]);
        expect(await count(topic)).toBe(1);

        const key = `/kv/n/${breaks}`;
        await through(`PUT ${key}?cas=0`, breaks, { body: LARGE });
        const { status } = await ask(leader, `GET ${key}?consistency=linearizable`);
        expect(status).toBe(isDone ? 200 : 404);
        const view = `/broker/views/${topic}`;
        await ask(leader, `PUT ${view}`, {
          body: `{"source":{"topic":"${topic}"},"window":{"size_ms":1000}}`,
        });
        await through(`DELETE ${view}`, breaks);
        const again = await ask(follower, `DELETE ${view}`);
        expect(again.status).toBe(isDone ? 404 : 200);
      }
    } finally {
      await endAll(nodes.children);
      await Promise.all(fronts.map((front) => front.stop()));
    }
  },
  TIMEOUT_MS,
);

const LAN = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === "IPv4" && !one.internal)?.address;

test.skipIf(LAN === undefined)(
  "requests between nodes take no proxy, also beyond loopback",
  async () => {
    const asked: string[] = [];
    const proxy = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => {
        asked.push(request.url);
        return new Response("from the proxy", { status: 502 });
      },
    });
    const address = `http://127.0.0.1:${proxy.port}`;
    const host = LAN ?? "";
    const nodes = startNodes(
      join(directory.path, "proxied"),
      {
        ...FAST,
        RF_HTTP_ADDR: host,
        RF_HA_SECRET: "shared by the nodes of the test cluster",
        HTTP_PROXY: address,
        http_proxy: address,
        HTTPS_PROXY: address,
        ALL_PROXY: address,
      },
      host,
    );
    try {
      await untilReady(nodes.urls);
      for (const [i, url] of nodes.urls.entries()) {
        const { status } = await ask(url, `PUT /kv/n/k${i}`, { body: "x" });
        expect(status).toBe(200);
      }
      expect(asked).toEqual([]);
    } finally {
      await endAll(nodes.children);
      await proxy.stop(true);
    }
  },
  TIMEOUT_MS,
);

test(
  "HTTPS: a follower trusts the authority it was given, and without it nothing is sent",
  async () => {
    const authority = new Authority(join(directory.path, "ca"));
    authority.issue({ id: "node", alternativeNames: ["IP:127.0.0.1"] });
    const file = (name: string) => join(authority.directory, name);
    const https = { RF_TLS_CERT: file("node.pem"), RF_TLS_KEY: file("node.key") };
    for (const trust of [{ NODE_EXTRA_CA_CERTS: file("ca.pem") }, {}]) {
      const name = `https-${Object.keys(trust).length}`;
      const nodes = startNodes(join(directory.path, name), { ...FAST, ...https, ...trust });
      try {
        await untilReady(nodes.urls);
        const at = await leaderOf(nodes.urls);
        const leader = nodes.urls[at] ?? "";
        const follower = nodes.urls[(at + 1) % nodes.urls.length] ?? "";
        const { status, body } = await ask(follower, "PUT /kv/n/k", { body: LARGE });
        if ("NODE_EXTRA_CA_CERTS" in trust) {
          expect([status, body["cas"]]).toEqual([200, 1]);
        } else {
          expect([status, body["error"]]).toEqual([503, "no_leader"]);
          expect(String(body["message"])).toMatch(
            new RegExp(
              `^The leader ${leader} cannot be reached \\([A-Z_]*(CERT|ISSUER|LEAF)[A-Z_]*\\)`,
            ),
          );
          expect((await ask(leader, "GET /kv/n/k")).status).toBe(404);
          // The link between the nodes has its own authentication.
          const small = await ask(follower, "PUT /kv/n/k", { body: "x" });
          expect([small.status, small.body["cas"]]).toEqual([200, 1]);
        }
      } finally {
        await endAll(nodes.children);
      }
    }
  },
  TIMEOUT_MS,
);
