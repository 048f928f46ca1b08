/**
 * Scenarios of the client against a real server, for every runtime: this file uses no Bun API, so
 * it also runs in Node. Topics and namespaces are derived from the name of a scenario.
 */
import { strict as assert } from "node:assert";
import { AyderError, type Client, createClient, type Message } from "../../src/client/index.ts";
import { GROUP_SCENARIOS } from "./group-scenarios.ts";

export type Scenario = (client: Client, name: string, url: string) => Promise<void>;

/** The error that the promise must reject with. */
async function failure(promise: Promise<unknown>): Promise<AyderError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof AyderError, `not an AyderError: ${error}`);
  return error;
}

async function all(messages: AsyncIterable<Message>): Promise<Message[]> {
  const list: Message[] = [];
  for await (const message of messages) list.push(message);
  return list;
}

const ODD_BYTES = Uint8Array.of(0, 255, 13, 10, 34, 10, 128, 254);
const ODD_TEXTS = ["", "plain", '"quoted"', "two\nlines\r", "\u0000\u001b[31m", "\ufeffBOM", "ÄΩ𝄞"];

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  ...GROUP_SCENARIOS,

  "values come back as they were sent": async (client, topic) => {
    await client.topics.create(topic, { partitions: 1 });
    for (const text of ODD_TEXTS) await client.produce(topic, text, { partition: 0 });
    await client.produce(topic, ODD_BYTES, { partition: 0, key: "k/é &=" });
    await client.produce(topic, { a: [1, "x"] }, { partition: 0 });
    const messages = await all(client.consume(topic));
    assert.deepEqual(
      messages.map(({ offset }) => offset),
      [...Array(ODD_TEXTS.length + 2).keys()],
    );
    for (const [i, text] of ODD_TEXTS.entries()) {
      assert.equal(messages[i]?.text, text);
      assert.deepEqual(messages[i]?.bytes, new TextEncoder().encode(text));
      assert.equal(messages[i]?.key, null);
    }
    const [bytes, json] = messages.slice(ODD_TEXTS.length);
    assert.deepEqual(bytes?.bytes, ODD_BYTES);
    assert.equal(bytes?.key, "k/é &=");
    assert.deepEqual(json?.json(), { a: [1, "x"] });
    assert.ok(Math.abs((json?.timestampMs ?? 0) - Date.now()) < 3_600_000);
  },

  "headers are stored with single messages, batches and messages of a producer": async (
    client,
    topic,
  ) => {
    await client.topics.create(topic, { partitions: 1 });
    const headers = { "order-id": "7", city: 'K\u00f6ln "\u{1f600}" & more' };
    await client.produce(topic, "one", { headers });
    await client.produceBatch(topic, ["two", "three"], { headers: { a: "" } });
    const producer = client.producer(topic, { partition: 0 });
    await Promise.all([
      producer.send("four", { headers }),
      producer.send("five", { headers }),
      producer.send("six"),
      producer.send("seven", { headers: { b: "1" } }),
    ]);
    const messages = await all(client.consume(topic));
    assert.deepEqual(
      messages.map((message) => [message.text, message.headers]),
      [
        ["one", headers],
        ["two", { a: "" }],
        ["three", { a: "" }],
        ["four", headers],
        ["five", headers],
        ["six", {}],
        ["seven", { b: "1" }],
      ],
    );
    const error = await failure(client.produce(topic, "x", { headers: { "not a name": "1" } }));
    assert.deepEqual([error.code, error.status, error.outcome], ["invalid_header", 400, "refused"]);
  },

  "records with their own keys and headers are stored as single messages would be": async (
    client,
    topic,
  ) => {
    await client.topics.create(topic, { partitions: 1 });
    const values = [...ODD_TEXTS, ODD_BYTES, { a: [1, "x"], n: 2n ** 63n }, new Date(0), 7, null];
    const records = values.map((value, i) => ({ value, key: `k${i}`, headers: { n: String(i) } }));
    const produced = await client.produceRecords(topic, [...records, { value: "plain" }]);
    assert.deepEqual([produced.firstOffset, produced.count], [0, values.length + 1]);
    const messages = await all(client.consume(topic));
    for (const [i, value] of values.entries()) {
      const { offset } = await client.produce(topic, value);
      const page = await client.read(topic, 0, { offset });
      assert.deepEqual(messages[i]?.bytes, page.messages[0]?.bytes);
      assert.deepEqual([messages[i]?.key, messages[i]?.headers], [`k${i}`, { n: String(i) }]);
    }
    assert.deepEqual([messages.at(-1)?.key, messages.at(-1)?.headers], [null, {}]);
  },

  "a batch keeps every value too, in one partition": async (client, topic) => {
    await client.topics.create(topic, { partitions: 2 });
    const date = new Date(0);
    const latin = Uint8Array.of(0xe4, 0xf6, 0x22);
    const values = [...ODD_TEXTS, { n: 1 }, date, latin, new TextEncoder().encode("a\nb"), [1], 7];
    const produced = await client.produceBatch(topic, values, { partition: 1, key: "all" });
    assert.deepEqual(
      [produced.firstOffset, produced.count, produced.partition, produced.durable],
      [0, values.length, 1, true],
    );
    const messages = await all(client.consume(topic, { partition: 1 }));
    const single = async (value: (typeof values)[number]) => {
      const { offset } = await client.produce(topic, value, { partition: 0 });
      const page = await client.read(topic, 0, { offset });
      return page.messages[0]?.bytes;
    };
    for (const [i, value] of values.entries()) {
      assert.deepEqual(messages[i]?.bytes, await single(value));
      assert.equal(messages[i]?.key, "all");
    }
    const error = await failure(client.produceBatch(topic, ["fine", ODD_BYTES]));
    assert.deepEqual([error.code, error.outcome], ["not_a_line", "refused"]);
  },

  "errors carry code, status, fields and outcome": async (client, name, url) => {
    const absent = await failure(client.topics.describe(name));
    assert.deepEqual(
      [absent.code, absent.status, absent.outcome, absent.isRetriable],
      ["topic_not_found", 404, "refused", false],
    );
    await client.topics.create(name, { partitions: 3 });
    const exists = await failure(client.topics.create(name, { partitions: 4 }));
    assert.deepEqual([exists.code, exists.fields["partitions"]], ["topic_exists", 3]);
    const place = { topic: name, partition: 0 };
    assert.equal(await client.commit({ ...place, group: "g", offset: 5 }), 0);
    const beyond = await failure(
      (async () => {
        for await (const _ of client.consume(name, { partition: 0, from: 5 }));
      })(),
    );
    assert.deepEqual(
      [beyond.code, beyond.status, beyond.fields["end_offset"]],
      ["offset_out_of_range", 416, 0],
    );
    const denied = await failure(createClient({ url, token: "wrong" }).topics.list());
    assert.deepEqual([denied.code, denied.status], ["unauthorized", 401]);
    const dots = await failure(client.topics.delete(".."));
    assert.equal(dots.code, "invalid_name");
    assert.throws(() => createClient({ urls: [] }), TypeError);
    assert.throws(() => createClient({ url: "ftp://x" }), TypeError);
  },

  "topics, groups, retention and deletion": async (client, topic) => {
    assert.deepEqual(await client.topics.create(topic, { partitions: 2 }), {
      ok: true,
      topic,
      partitions: 2,
    });
    await client.produceBatch(topic, ["aa", "b", "c"], { partition: 0 });
    assert.equal(await client.commit({ topic, group: "g", partition: 0, offset: 2 }), 2);
    assert.equal(await client.commit({ topic, group: "g", partition: 0, offset: 1 }), 2);
    assert.deepEqual(await client.groups(topic), [
      { group: "g", partition: 0, committedOffset: 2, lag: 1 },
      { group: "g", partition: 1, committedOffset: null, lag: 0 },
    ]);
    const own = `group-of-${topic}`;
    for (const partition of [0, 1]) {
      await client.commit({ topic, group: own, partition, offset: 0 });
    }
    const found = (await client.listGroups()).filter(({ group }) => group === own);
    assert.deepEqual(found, [{ group: own, topics: 1, partitions: 2, members: 0, lag: 3 }]);
    assert.equal(await client.deleteGroup(own), 2);
    assert.deepEqual(
      (await client.listGroups()).filter(({ group }) => group === own),
      [],
    );
    assert.deepEqual(await client.deleteBefore({ topic, partition: 0, beforeOffset: 1 }), {
      ok: true,
      deletedCount: 1,
      freedBytes: 2,
    });
    const { partitions } = await client.topics.describe(topic);
    assert.deepEqual(partitions[0], { partition: 0, lowWatermark: 1, endOffset: 3, bytes: 2 });
    await client.retention.set({ topic, partition: 1, ttlMs: 1000 });
    assert.deepEqual(
      (await client.retention.list()).filter((policy) => policy.topic === topic),
      [{ topic, partition: 1, ttlMs: 1000, maxBytes: null }],
    );
    await client.retention.set({ topic, partition: 1, ttlMs: null });
    assert.deepEqual(
      (await client.retention.list()).filter((policy) => policy.topic === topic),
      [],
    );
    const listed = (await client.topics.list()).find((each) => each.topic === topic);
    assert.deepEqual(listed, { topic, partitions: 2, messages: 2, bytes: 2 });
    await client.topics.delete(topic);
    assert.equal((await failure(client.topics.delete(topic))).code, "topic_not_found");
  },

  "a group continues after its committed offset": async (client, topic) => {
    await client.topics.create(topic, { partitions: 2 });
    const values = [...Array(10).keys()].map(String);
    await client.produceBatch(topic, values, { partition: 0 });
    await client.produceBatch(topic, values, { partition: 1 });
    const first = client.consume(topic, { group: "workers", limit: 3 });
    let seen = 0;
    for await (const message of first) {
      assert.equal(message.text, String(message.offset));
      if (++seen === 14) break;
    }
    await first.commit();
    assert.deepEqual(
      [...first.positions],
      [
        [0, 10],
        [1, 4],
      ],
    );
    const rest = client.consume(topic, { group: "workers" });
    assert.deepEqual(
      (await all(rest)).map(({ partition, offset }) => [partition, offset]),
      [4, 5, 6, 7, 8, 9].map((offset) => [1, offset]),
    );
    await rest.commit();
    assert.deepEqual(await all(client.consume(topic, { group: "workers" })), []);
    assert.equal(
      (await all(client.consume(topic, { group: "workers", from: "earliest" }))).length,
      20,
    );
    assert.equal((await all(client.consume(topic, { partition: 1, from: 8 }))).length, 2);
    await assert.rejects(client.consume(topic).commit(), TypeError);
  },

  "follow returns new messages of all partitions until it is aborted": async (client, topic) => {
    await client.topics.create(topic, { partitions: 4 });
    await client.produce(topic, "old", { partition: 0 });
    const stop = new AbortController();
    const seen: string[] = [];
    const following = (async () => {
      for await (const message of client.consume(topic, { follow: true, signal: stop.signal })) {
        seen.push(message.text);
        if (message.text === "last") stop.abort();
      }
    })();
    for (let i = 0; i < 20; i++) await client.produce(topic, `new ${i}`, { partition: i % 4 });
    while (seen.length < 21) await new Promise((resolve) => setTimeout(resolve, 5));
    await client.produce(topic, "last", { partition: 3 });
    await following;
    assert.deepEqual(
      [...seen].sort(),
      ["old", "last", ...[...Array(20).keys()].map((i) => `new ${i}`)].sort(),
    );
  },

  "a consumer fails when its topic is deleted and created again": async (client, topic) => {
    await client.topics.create(topic, { partitions: 1 });
    await client.produceBatch(topic, ["a", "b", "c"], { partition: 0 });
    const page = await client.read(topic, 0, { offset: 0, limit: 1 });
    assert.ok(page.topicId !== undefined && page.topicId > 0);
    const next = { offset: page.nextOffset, limit: 1 };
    const same = { ...next, topicId: page.topicId };
    assert.equal((await client.read(topic, 0, same)).messages[0]?.text, "b");
    const pages = client.consume(topic, { partition: 0, limit: 1 }).pages();
    await pages.next();
    await client.topics.delete(topic);
    await client.topics.create(topic, { partitions: 1 });
    await client.produceBatch(topic, ["w", "x", "y", "z"], { partition: 0 });
    assert.equal((await failure(client.read(topic, 0, same))).code, "offset_out_of_range");
    assert.equal((await failure(pages.next())).code, "offset_out_of_range");
    assert.equal((await client.read(topic, 0, next)).messages[0]?.text, "x");
  },

  "latest skips existing messages": async (client, topic) => {
    await client.topics.create(topic, { partitions: 1 });
    await client.produce(topic, "old", { partition: 0 });
    assert.deepEqual(await all(client.consume(topic, { from: "latest" })), []);
    const stop = new AbortController();
    const options = { from: "latest", follow: true, partition: 0, signal: stop.signal } as const;
    const iterator = client.consume(topic, options)[Symbol.asyncIterator]();
    const next = iterator.next();
    // A message that arrives before the end was looked up is skipped, so several are sent.
    let settled = false;
    const first = next.finally(() => {
      settled = true;
    });
    for (let i = 0; !settled; i++) {
      await client.produce(topic, `new ${i}`, { partition: 0 });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.match((await first).value?.text ?? "", /^new/);
    stop.abort();
    assert.equal((await iterator.next()).done, true);
  },

  "a producer shares requests and keeps the order of each key": async (client, topic, url) => {
    await client.topics.create(topic, { partitions: 3 });
    let requests = 0;
    const counting = createClient({
      url,
      token: "dev",
      fetch: (target, init) => {
        requests++;
        return fetch(target, init as RequestInit);
      },
    });
    const producer = counting.producer(topic, { batchMessages: 400 });
    const sent = await Promise.all(
      [...Array(2000).keys()].map((i) => producer.send(`${i}`, { partition: i % 2 })),
    );
    assert.ok(requests < 40, `${requests} requests`);
    assert.equal(producer.queuedBytes, 0);
    for (const partition of [0, 1]) {
      const messages = await all(client.consume(topic, { partition }));
      assert.equal(messages.length, 1000);
      for (const { offset, text } of messages) {
        assert.equal(Number(text) % 2, partition);
        assert.deepEqual(sent[Number(text)], { partition, offset, durable: true });
        assert.equal(Number(text), offset * 2 + partition);
      }
    }
    void producer.send(ODD_BYTES, { key: "a" });
    void producer.send("after", { key: "a" });
    await producer.flush();
    const byKey = (await all(client.consume(topic))).filter(({ key }) => key === "a");
    assert.deepEqual(
      byKey.map(({ bytes }) => bytes),
      [ODD_BYTES, new TextEncoder().encode("after")],
    );
  },

  "one message that is too large does not fail the others of its batch": async (client, topic) => {
    await client.topics.create(topic, { partitions: 1 });
    const producer = client.producer(topic, { partition: 0, batchBytes: 8 << 20 });
    const values = ["a", "b", "x".repeat((1 << 20) + 1), "c"];
    const outcomes = await Promise.allSettled(values.map((value) => producer.send(value)));
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["fulfilled", "fulfilled", "rejected", "fulfilled"],
    );
    assert.deepEqual(
      (await all(client.consume(topic))).map(({ text }) => text),
      ["a", "b", "c"],
    );
    const full = client.producer(topic, { queueBytes: 10 });
    const results = await Promise.allSettled(["12345678", "12345678"].map((v) => full.send(v)));
    assert.equal(results[0]?.status, "fulfilled");
    assert.equal((results[1] as { reason: AyderError }).reason.code, "queue_full");
  },

  "keys and values: revisions, time to live, lists": async (client, name) => {
    const kv = client.kv(name);
    assert.equal(await kv.get("a"), null);
    assert.equal(await kv.meta("a"), null);
    const { cas } = await kv.put("a", { n: 1 }, { cas: 0 });
    const entry = await kv.get("a", { linearizable: true });
    assert.deepEqual([entry?.json(), entry?.cas, entry?.key], [{ n: 1 }, cas, "a"]);
    const raced = await failure(kv.put("a", "x", { cas: 0 }));
    assert.deepEqual([raced.code, raced.fields["current"]], ["cas_mismatch", cas]);
    for (const key of ["deep/er/é ?#%", "dots/../x", "dots/./y", "a//b", "back\\slash"]) {
      await kv.put(key, ODD_BYTES);
      assert.deepEqual((await kv.get(key))?.bytes, ODD_BYTES, key);
    }
    const keys: string[] = [];
    for await (const { key } of kv.list({ prefix: "d" })) keys.push(key);
    assert.deepEqual(keys, ["deep/er/é ?#%", "dots/../x", "dots/./y"]);
    const { keys: page, next } = await kv.page({ limit: 2 });
    assert.deepEqual([page.map(({ key }) => key), next], [["a", "a//b"], "a//b"]);
    await kv.put("short", "lived", { ttlMs: 60_000 });
    const meta = await kv.meta("short");
    assert.ok(meta !== null && meta.ttlMs > 0 && meta.ttlMs <= 60_000 && meta.bytes === 5);
    assert.equal((await failure(kv.delete("a", { cas: 999 }))).code, "cas_mismatch");
    assert.equal((await kv.delete("a")).deleted, true);
    assert.equal((await kv.delete("a")).deleted, false);
    await assert.rejects(kv.get(".."), AyderError);
    const before = await client.namespaces();
    const space = before.find(({ namespace }) => namespace === name);
    assert.ok(space !== undefined && space.keys > 0);
    const kept = client.deleteNamespace(name, { ifEmpty: true });
    assert.equal((await failure(kept)).code, "namespace_not_empty");
    const dropped = await client.deleteNamespace(name);
    assert.deepEqual(
      [dropped.deleted, dropped.keys, dropped.bytes],
      [true, space.keys, space.bytes],
    );
    assert.equal((await client.deleteNamespace(name)).deleted, false);
    assert.ok((await kv.put("a", "1")).cas > space.revision);
  },

  "concurrent updates lose no increment": async (client, name) => {
    const kv = client.kv(name);
    const increment = () =>
      kv.update("n", (entry) => String(Number(entry?.text ?? "0") + 1)).then(() => undefined);
    await Promise.all(Array.from({ length: 12 }, increment));
    assert.equal((await kv.get("n"))?.text, "12");
    const cas = (await kv.get("n"))?.cas;
    assert.equal(await kv.update("n", () => null), cas);
  },

  "queries, joins and views": async (client, topic) => {
    await client.topics.create(topic, { partitions: 1 });
    const rows = [
      { id: 7, region: "eu", amount: 30 },
      { id: 8, region: "us", amount: 12 },
      { id: 7, region: "eu", amount: 5 },
    ];
    await client.produceBatch(topic, rows, { partition: 0 });
    const source = { topic, partition: 0, offset: 0 };
    const measures = [{ op: "sum", field: "amount", as: "total" }] as const;
    const aggregate = { group_by: ["region"], measures };
    const result = await client.query<{ id: number }>({
      source,
      aggregate,
      transform: { left_fields: ["id"], emit_rows: 2 },
    });
    assert.deepEqual(result.rows, [{ id: 7 }, { id: 8 }]);
    assert.deepEqual(
      result.aggregates.map(({ group, total }) => [group["region"], total]),
      [
        ["eu", 35],
        ["us", 12],
      ],
    );
    const joined = await client.join<{ amount: number }, { amount: number }>({
      left: source,
      right: source,
      on: { left_key: "id", right_key: "id" },
      window: { size_ms: 3_600_000 },
    });
    assert.equal(joined.rows.length, 5);
    assert.equal(await client.views.put(topic, { source: { topic }, aggregate }), true);
    assert.equal(await client.views.put(topic, { source: { topic }, aggregate }), false);
    let view = await client.views.get(topic);
    while (view.lag > 0) view = await client.views.get(topic);
    assert.equal(view.aggregates.length, 2);
    assert.ok((await client.views.list()).some((each) => each.view === topic));
    await client.views.delete(topic);
    assert.equal((await failure(client.views.get(topic))).code, "view_not_found");
    const wrong = await failure(client.query({ source: { topic, partition: 9 } }));
    assert.equal(wrong.code, "partition_not_found");
  },

  "membership, readiness and requests of any kind": async (client) => {
    const { nodes, leaderId } = await client.cluster.membership();
    assert.equal(nodes.length, 1);
    assert.equal(nodes[0]?.nodeId, leaderId);
    assert.equal(await client.ready(), true);
    assert.deepEqual(JSON.parse(await client.request({ method: "GET", path: "/health" })), {
      ok: true,
    });
    assert.equal((await failure(client.cluster.promote("nobody"))).code, "member_not_found");
  },

  "administration of a node": async (client, topic) => {
    await client.topics.create(topic, { partitions: 1 });
    const { batchId = 0 } = await client.produce(topic, "x");
    assert.equal(await client.healthy(), true);
    const synced = await client.admin.lastSyncedIndex();
    assert.ok(synced >= batchId);
    const { checkpointIndex, freedBytes } = await client.admin.compact();
    assert.ok(checkpointIndex >= batchId && freedBytes >= 0);
    assert.match(await client.admin.metrics(), /^ayder_partitions \d+$/m);
  },

  "an aborted call throws the reason of the signal": async (client, topic) => {
    await client.topics.create(topic, { partitions: 1 });
    const reason = new Error("enough");
    const stop = new AbortController();
    const waiting = client.read(topic, 0, { waitMs: 60_000, signal: stop.signal });
    setTimeout(() => stop.abort(reason), 20);
    await assert.rejects(waiting, (error) => error === reason);
    await assert.rejects(client.produce(topic, "x", { signal: stop.signal }), (e) => e === reason);
  },
};
