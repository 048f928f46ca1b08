/** Producers number their requests: what is on the wire, and what happens when numbers go wrong. */
import { expect, test } from "bun:test";
import { AyderError, type Client, createClient, type Producer } from "../../src/client/index.ts";
import { faultyClient } from "../tools/client/faults.ts";
import { testServer } from "../tools/process/test-server.ts";

const { server } = testServer({ RF_BEARER_TOKENS: "dev,writer@write" });
const url = () => server.url;
let topics = 0;
const freshName = (): string => `t${topics++}`;

async function newTopic(partitions = 1): Promise<string> {
  const topic = freshName();
  await plain().topics.create(topic, { partitions });
  return topic;
}
const plain = (): Client => createClient({ url: url(), token: "dev" });

async function stored(topic: string, partition = 0): Promise<string[]> {
  const page = await plain().read(topic, partition);
  return page.messages.map(({ text }) => text);
}

async function failure(promise: Promise<unknown>): Promise<AyderError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof AyderError)) throw new Error(`not an AyderError: ${error}`);
  return error;
}

/** Parameters of the requests, without the address. */
const parameters = (requests: readonly string[]) =>
  requests.map((line) => {
    const { pathname, searchParams } = new URL(line.slice(line.indexOf(" ") + 1));
    return {
      route: pathname.split("/").at(-1),
      producer: searchParams.get("producer"),
      hasKey: searchParams.has("idempotency_key"),
    };
  });

type Change = (target: URL) => Response | Promise<Response> | null;

/** A client whose requests `change` may answer or alter first. */
function behind(change: Change, token = "dev"): { client: Client; requests: string[] } {
  const requests: string[] = [];
  const client = createClient({
    url: url(),
    token,
    retryMs: 5_000,
    fetch: async (target, init) => {
      requests.push(`${init.method} ${target}`);
      const address = new URL(target);
      return (await change(address)) ?? (await fetch(address, init as RequestInit));
    },
  });
  return { client, requests };
}

const sendAll = async (producer: Producer, values: readonly string[]) => {
  for (const value of values) await producer.send(value);
};

test("requests of a partition are numbered, and a lost answer is not stored again", async () => {
  const topic = await newTopic();
  const faults = [null, "answer", "request", null, null] as const;
  const { client, requests } = faultyClient(url(), faults);
  const producer = client.producer(topic, { partition: 0 });
  await sendAll(producer, ["a", "b", "c"]);
  const number = (seq: number) => ({
    route: "produce",
    producer: `${producer.id}:0:${seq}`,
    hasKey: false,
  });
  expect(parameters(requests)).toEqual([0, 1, 1, 1, 2].map(number));
  expect(producer.id).toMatch(/^[0-9a-f]{24}$/);
  expect(await stored(topic)).toEqual(["a", "b", "c"]);
});

test("each partition has its own numbers, and keys go where the server would put them", async () => {
  const topic = await newTopic(4);
  const { client, requests } = faultyClient(url(), []);
  const producer = client.producer(topic);
  const keys = Array.from({ length: 20 }, (_, i) => `key-${i}-ä`);
  const sent = await Promise.all(keys.map((key) => producer.send(`v ${key}`, { key })));
  for (const [i, key] of keys.entries()) {
    const { partition } = await plain().produce(topic, "probe", { key });
    expect(sent[i]?.partition).toBe(partition);
  }
  const [describe, ...produced] = parameters(requests);
  expect(describe).toEqual({ route: topic, producer: null, hasKey: false });
  const partitions = new Set(sent.map(({ partition }) => partition)).size;
  expect(produced).toEqual(
    Array.from({ length: partitions }, () => ({
      route: "produce-batches",
      producer: `${producer.id}:0:0`,
      hasKey: false,
    })),
  );
});

test("a server that does not know batches gets the same messages as text", async () => {
  const topic = await newTopic(2);
  const { client, requests } = behind(({ pathname }) =>
    pathname.endsWith("/produce-batches")
      ? Response.json({ ok: false, error: "route_not_found", message: "" }, { status: 404 })
      : null,
  );
  const producer = client.producer(topic, { partition: 0 });
  const values = ["a", "b\nc", "\u00fc"];
  await Promise.all(values.map((value) => producer.send(value, { key: value })));
  await Promise.all(values.map((value) => producer.send(value)));
  const numbered = (route: string, seq: number) => ({
    route,
    producer: `${producer.id}:0:${seq}`,
    hasKey: false,
  });
  expect(parameters(requests)).toEqual([
    numbered("produce-batches", 0),
    numbered("produce-json", 0),
    numbered("produce-ndjson", 1),
  ]);
  expect(await stored(topic)).toEqual([...values, ...values]);
});

test("a topic that is missing is not taken for a server that does not know batches", async () => {
  const topic = await newTopic();
  let isGone = true;
  const { client, requests } = behind(({ pathname }) => {
    if (!isGone || !pathname.endsWith("/produce-batches")) return null;
    isGone = false;
    return Response.json({ ok: false, error: "topic_not_found", message: "" }, { status: 404 });
  });
  const producer = client.producer(topic, { partition: 0 });
  const both = () => Promise.all([producer.send("a"), producer.send("b")]);
  expect((await failure(both())).code).toBe("topic_not_found");
  await both();
  expect(parameters(requests).map(({ route }) => route)).toEqual([
    "produce-batches",
    "produce-batches",
  ]);
});

test("messages without a key take turns by batches, and none is lost", async () => {
  const topic = await newTopic(3);
  const producer = plain().producer(topic, { batchMessages: 5 });
  const values = Array.from({ length: 60 }, (_, i) => `${i}`);
  const sent = await Promise.all(values.map((value) => producer.send(value)));
  await producer.send("later");
  await producer.flush();
  const texts = await Promise.all([0, 1, 2].map((partition) => stored(topic, partition)));
  expect(texts.flat().sort()).toEqual([...values, "later"].sort());
  for (const [i, { partition, offset }] of sent.entries()) {
    expect(texts[partition]?.[offset]).toBe(`${i}`);
  }
});

test("keys, headers and bytes of all kinds share one request", async () => {
  const topic = await newTopic();
  const { client, requests } = faultyClient(url(), []);
  const producer = client.producer(topic, { partition: 0 });
  const bytes = Uint8Array.of(0, 255, 10, 13);
  await Promise.all([
    producer.send("plain"),
    producer.send({ n: 1 }, { key: "k" }),
    producer.send(bytes, { headers: { a: "ü" } }),
    producer.send("", { key: "", headers: { a: "" } }),
  ]);
  expect(parameters(requests).map(({ route }) => route)).toEqual(["produce-json"]);
  const { messages } = await plain().read(topic, 0);
  expect(
    messages.map(({ bytes: value, key, headers }) => [Buffer.from(value), key, headers]),
  ).toEqual([
    [Buffer.from("plain"), null, {}],
    [Buffer.from('{"n":1}'), "k", {}],
    [Buffer.from(bytes), null, { a: "ü" }],
    [Buffer.from(""), "", { a: "" }],
  ]);
});

test("the first message creates its topic, and the ones after it are numbered", async () => {
  const topic = freshName();
  const { client, requests } = faultyClient(url(), []);
  const producer = client.producer(topic);
  await Promise.all([producer.send("a"), producer.send("b")]);
  await producer.send("c");
  const [, first, , ...later] = parameters(requests);
  expect(first).toEqual({ route: "produce-batches", producer: null, hasKey: true });
  expect(later).toEqual([{ route: "produce", producer: `${producer.id}:0:0`, hasKey: false }]);
});

test("a token that may not read the topic writes with idempotency keys", async () => {
  const topic = await newTopic(2);
  const { client, requests } = behind(() => null, "writer");
  const producer = client.producer(topic);
  await producer.send("a", { key: "k" });
  await producer.send("b", { key: "k" });
  expect(parameters(requests)).toEqual([
    { route: topic, producer: null, hasKey: false },
    { route: "produce", producer: null, hasKey: true },
    { route: "produce", producer: null, hasKey: true },
  ]);
  await producer.send("c", { partition: 1 });
  expect(parameters(requests).at(-1)?.producer).toBe(`${producer.id}:0:0`);
});

test("a server that does not know numbers gets idempotency keys", async () => {
  const refusals = [
    { status: 400, error: "unknown_parameter" },
    { status: 503, error: "cluster_not_upgraded" },
  ];
  for (const { status, error } of refusals) {
    const topic = await newTopic();
    const { client, requests } = behind((target) =>
      target.searchParams.has("producer") ? Response.json({ ok: false, error }, { status }) : null,
    );
    const producer = client.producer(topic, { partition: 0 });
    await sendAll(producer, ["a", "b"]);
    expect(parameters(requests).map(({ hasKey }) => hasKey)).toEqual([false, true, true]);
    expect(await stored(topic)).toEqual(["a", "b"]);
  }
});

test("a server that ignores numbers gets idempotency keys after the first answer", async () => {
  const topic = await newTopic();
  const { client, requests } = behind((target) => {
    target.searchParams.delete("producer");
    return null;
  });
  const producer = client.producer(topic, { partition: 0 });
  await sendAll(producer, ["a", "b"]);
  expect(parameters(requests).map(({ hasKey }) => hasKey)).toEqual([false, true]);
  expect(await stored(topic)).toEqual(["a", "b"]);
});

test("after an unknown outcome a higher epoch fences the attempt that may still arrive", async () => {
  const topic = await newTopic();
  const late: URL[] = [];
  const { client, requests } = behind((target) => {
    if (requests.length !== 2) return null;
    late.push(target);
    throw new TypeError("connection reset");
  });
  const producer = client.producer(topic, { partition: 0, retryMs: 0 });
  await producer.send("a");
  const lost = await failure(producer.send("lost"));
  expect([lost.code, lost.outcome]).toEqual(["connection_lost", "unknown"]);
  await sendAll(producer, ["b", "c"]);
  expect(parameters(requests).map((each) => each.producer?.split(":").slice(1).join(":"))).toEqual([
    "0:0",
    "0:1",
    "1:0",
    "1:1",
  ]);
  const delayed = await fetch(late[0] ?? "", {
    method: "POST",
    headers: { authorization: "Bearer dev" },
    body: "lost",
  });
  expect([delayed.status, ((await delayed.json()) as { error: string }).error]).toEqual([
    403,
    "stale_epoch",
  ]);
  expect(await stored(topic)).toEqual(["a", "b", "c"]);
});

test("earlier messages that the server has lost are told once, and later ones are stored", async () => {
  const topic = await newTopic();
  const producer = plain().producer(topic, { partition: 0 });
  await sendAll(producer, ["a", "b"]);
  await plain().topics.delete(topic);
  await plain().topics.create(topic, { partitions: 1 });
  const gap = await failure(producer.send("c"));
  expect([gap.code, gap.outcome, gap.fields["expected_seq"]]).toEqual([
    "sequence_gap",
    "refused",
    0,
  ]);
  await sendAll(producer, ["d", "e"]);
  expect(await stored(topic)).toEqual(["d", "e"]);
});

test("a new process with the same id fences the old one", async () => {
  const topic = await newTopic();
  const first = plain().producer(topic, { partition: 0, id: "billing", epoch: 7 });
  await sendAll(first, ["a", "b"]);
  const second = plain().producer(topic, { partition: 0, id: "billing", epoch: 8 });
  await second.send("c");
  for (const value of ["x", "y"]) {
    const error = await failure(first.send(value));
    expect([error.code, error.outcome, error.fields["current_epoch"]]).toEqual([
      "stale_epoch",
      "refused",
      8,
    ]);
  }
  // Without an epoch, the time of the start is one.
  const third = plain().producer(topic, { partition: 0, id: "billing" });
  await third.send("d");
  expect((await failure(second.send("z"))).code).toBe("stale_epoch");
  expect(await stored(topic)).toEqual(["a", "b", "c", "d"]);
});

test("two producers with one id and epoch are told, instead of losing messages", async () => {
  const topic = await newTopic();
  const make = () => plain().producer(topic, { partition: 0, id: "shared", epoch: 1 });
  const [first, second] = [make(), make()];
  await sendAll(first, ["a", "b"]);
  const conflict = await failure(second.send("c"));
  expect([conflict.code, conflict.outcome]).toEqual(["sequence_conflict", "refused"]);
  expect((await failure(second.send("d"))).code).toBe("sequence_conflict");
  await first.send("e");
  expect(await stored(topic)).toEqual(["a", "b", "e"]);
});

test("with a given epoch an unknown outcome ends the partition", async () => {
  const topic = await newTopic(2);
  const { client } = faultyClient(url(), [null, "answer"], { retryMs: 0 });
  const producer = client.producer(topic, { partition: 0, id: "fixed", epoch: 1 });
  await producer.send("a");
  expect((await failure(producer.send("b"))).outcome).toBe("unknown");
  expect((await failure(producer.send("c"))).outcome).toBe("unknown");
  expect(await producer.send("d", { partition: 1 })).toMatchObject({ partition: 1, offset: 0 });
  expect(await stored(topic)).toEqual(["a", "b"]);
});

test("a batch that is too large is split, and each part has its number", async () => {
  const topic = await newTopic();
  const { client, requests } = faultyClient(url(), []);
  const producer = client.producer(topic, { partition: 0, batchBytes: 8 << 20 });
  const values = ["a", "b", "x".repeat((1 << 20) + 1), "c"];
  const outcomes = await Promise.allSettled(values.map((value) => producer.send(value)));
  expect(outcomes.map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
  expect(await stored(topic)).toEqual(["a", "b", "c"]);
  const numbers = parameters(requests).map(({ producer: text }) => text?.split(":")[2]);
  expect(numbers).toEqual(["0", "0", "1", "1", "1"]);
});

test("rocket mode has idempotency keys, because it may lose messages", async () => {
  const topic = await newTopic();
  const { client, requests } = faultyClient(url(), []);
  await client.producer(topic, { partition: 0, mode: "rocket" }).send("a");
  expect(parameters(requests)).toEqual([{ route: "produce", producer: null, hasKey: true }]);
});
