/**
 * `bun run test:upgrade [--from COMMIT]`: builds the binary of an earlier commit, runs three nodes of
 * it under load, and replaces one after the other by this program. Writes go on, nothing is lost or
 * stored twice, and commands that the earlier version does not know are refused until the last node
 * is replaced. A durable stream is written as soon as the version of the leader takes it. Followers
 * of this program forward writes over HTTP to a leader of the earlier one. A webhook that is defined in the end delivers while the leader changes. Then the earlier version refuses the data and changes nothing. Needs the history.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { AyderError, type Client, createClient } from "../../src/client/index.ts";
import { ROOT } from "../../src/release/compile.ts";
import { CommandLine } from "../tools/arguments.ts";
import { Cluster, TOKEN } from "../tools/cluster/cluster.ts";
import type { NodeProcess } from "../tools/cluster/node-process.ts";
import { directoryPlace, exported } from "../tools/exports/place.ts";
import { serverCommand, temporaryDirectory } from "../tools/process/server.ts";
import { Receiver, verified } from "../tools/webhook/receiver.ts";

/** Before commands of shared work: numbered writes, groups that share, queues, streams. */
const FROM = "f96d37aa8eff8b023683102a480450439d51e895";
const LINE = new CommandLine("usage: bun run test:upgrade [--from COMMIT]");
const { values } = LINE.read({ from: { type: "string" } });
const commit = values.from ?? FROM;

const TOPIC = "orders";
/** Acknowledged writes between two steps. */
const WRITES = 60;
const WAIT_MS = 60_000;
const STREAM = "/v1/stream/upgrade";
/** Topic and name of the webhook. */
const HOOKED = "hooked";

const directory = temporaryDirectory();
const lake = join(directory.path, "lake");
mkdirSync(lake);
const cluster = new Cluster({
  size: 3,
  directory: directory.path,
  network: "direct",
  environment: {
    RF_EXPORT_DIR: lake,
    RF_HA_FOLLOWER_WRITES: "forward",
    RF_WEBHOOK_ALLOW: "127.0.0.1",
  },
});
/** Nodes that run this program. */
const replaced = new Set<NodeProcess>();
const urls = cluster.nodes.map(({ http }) => `http://${http.host}:${http.port}`);
const connect = (): Client =>
  createClient({ urls, token: TOKEN, retryMs: WAIT_MS, attemptMs: 5_000 });
const receiver = new Receiver();
/** Offsets of acknowledged messages, by their text. */
const acknowledged = new Map<string, number>();
const stop = new AbortController();
/** Numbers that are acknowledged in the stream. */
const streamed = { count: 0 };

try {
  const old = await buildOld();
  for (const node of cluster.nodes) node.command = [old];
  cluster.startInitialMembers();
  await connect().topics.create(TOPIC, { partitions: 1 });
  const load = Promise.all([writeSingles(), writeByProducer(), writeHeaders(), writeStream()]);
  load.catch(() => undefined);
  await more(load, "three nodes of the earlier version");
  // Commands of this kind are all that tells the versions apart here.
  const knowsNumbers = (await probe()).status === 200;

  const [first, second, third] = cluster.nodes as readonly [NodeProcess, NodeProcess, NodeProcess];
  await replace(first);
  await more(load, "one node replaced");
  if (!knowsNumbers) await forward("http");
  await replace(second);
  await lead(first);
  if (!knowsNumbers) {
    await mustBe(await probe(), 503, "cluster_not_upgraded");
    await mustBe(await joinGroup(), 503, "cluster_not_upgraded");
    await mustBe(await putExport(), 503, "cluster_not_upgraded");
    await connect().topics.create(HOOKED, { partitions: 1 });
    await mustBe(await putWebhook(), 503, "cluster_not_upgraded");
  }
  await more(load, "two nodes replaced, and one of them leads");
  await forward("link");
  await lead(third);
  if (!knowsNumbers) await mustBe(await probe(), 400, "unknown_parameter");
  await more(load, "the last node of the earlier version leads");
  if (!knowsNumbers) await forward("http");
  await replace(third);
  await until("numbered writes are accepted", async () => (await probe()).status === 200);
  await until("the stream is written", async () => streamed.count >= WRITES);
  await until("an export is defined", async () => (await putExport()).status === 200);
  await until("members join", async () => (await joinGroup()).status === 200);
  await more(load, "three nodes replaced");
  await forward("link");

  stop.abort();
  await load;
  await verify();
  await verifyExport();
  await verifyWebhook(first);
  if (!knowsNumbers) await refusesNewData(third, old);
  console.log(
    `${acknowledged.size} messages and ${streamed.count} of a stream of a rolling upgrade from ${commit} are there, once`,
  );
} finally {
  stop.abort();
  await cluster.stop();
  await receiver.stop();
  directory.remove();
}

async function buildOld(): Promise<string> {
  const tree = join(directory.path, "earlier");
  const known = await Bun.$`git cat-file -e ${commit}`.cwd(ROOT).nothrow().quiet();
  if (known.exitCode !== 0) throw new Error(`this clone has no commit ${commit}`);
  await Bun.$`mkdir ${tree} && git -C ${ROOT} archive ${commit} | tar -x -C ${tree}`;
  await Bun.$`${process.execPath} install --frozen-lockfile`.cwd(tree).quiet();
  await Bun.$`${process.execPath} src/release/compile.ts`.cwd(tree).quiet();
  return join(tree, "dist/ayder");
}

/** Each message with a key of its own. */
async function writeSingles(): Promise<void> {
  const client = connect();
  for (let i = 0; !stop.signal.aborted; i++) {
    const text = `single ${i}`;
    const { offset } = await client.produce(TOPIC, text, { partition: 0 });
    acknowledged.set(text, offset);
  }
}

/** A producer of this version, which the earlier one does not know. */
async function writeByProducer(): Promise<void> {
  const producer = connect().producer(TOPIC, { partition: 0 });
  for (let i = 0; !stop.signal.aborted; i++) {
    const texts = Array.from({ length: 5 }, (_, j) => `batch ${5 * i + j}`);
    const sent = await Promise.all(texts.map((text) => producer.send(text)));
    for (const [j, { offset }] of sent.entries()) acknowledged.set(texts[j] ?? "", offset);
  }
}

/** Headers, which both versions know. */
async function writeHeaders(): Promise<void> {
  const client = connect();
  for (let i = 0; !stop.signal.aborted; i++) {
    const text = `headers ${i}`;
    const headers = { number: String(i) };
    const { offset } = await client.produce(TOPIC, text, { partition: 0, headers });
    acknowledged.set(text, offset);
  }
}

/** Numbers of a producer, each sent until it is stored. Versions without streams refuse them. */
async function writeStream(): Promise<void> {
  const id = { "producer-id": "upgrade", "producer-epoch": "0", "content-type": "text/plain" };
  while (!stop.signal.aborted) {
    const { count } = streamed;
    const seq = String(count);
    const sent = { body: `${count}|`, headers: { ...id, "producer-seq": seq } };
    const status = await toLeader("POST", sent);
    if (status === 404) await toLeader("PUT", { headers: { "content-type": "text/plain" } });
    if (status === 200 || status === 204) streamed.count++;
    else if (status !== 0 && status !== 404 && status < 500) {
      throw new Error(`number ${count} of the stream got ${status}`);
    } else await Bun.sleep(50);
  }
}

/** @returns 0 without an answer. */
async function toLeader(method: string, init: RequestInit): Promise<number> {
  const leader = await cluster.leader();
  if (leader === null) return 0;
  const { host, port } = leader.node.http;
  const headers = { ...init.headers, authorization: `Bearer ${TOKEN}` };
  const request = { ...init, method, headers, redirect: "manual" as const };
  const answer = await fetch(`http://${host}:${port}${STREAM}`, request).catch(() => null);
  // The leader has changed.
  return answer === null || answer.status === 307 ? 0 : answer.status;
}

async function more(load: Promise<unknown>, what: string): Promise<void> {
  const from = acknowledged.size;
  const writes = until(`writes with ${what}`, async () => acknowledged.size >= from + WRITES);
  // A load that ends is an error: it would be waited for in vain.
  await Promise.race([writes, load]);
  console.log(`${what}: ${acknowledged.size} messages acknowledged`);
}

/** Stops the node and starts this program on its data. */
async function replace(node: NodeProcess): Promise<void> {
  await node.stop();
  node.command = serverCommand();
  cluster.start(node);
  replaced.add(node);
  await until(`${node.id} is ready`, () => isReady(node));
}

/**
 * Followers of this version forward a write and a call: over the link only to a leader that knows
 * the frames, otherwise over HTTP.
 */
async function forward(how: "link" | "http"): Promise<void> {
  // The load may go through the follower too.
  const isRight = (count: number) => (how === "link" ? count >= 2 : count === 0);
  const isKnown = (node: NodeProcess) => replaced.has(node) === (how === "link");
  await until(`followers forward by ${how}`, async () => {
    const leader = (await cluster.leader())?.node;
    // A node of higher priority takes the lead back.
    if (leader !== undefined && !isKnown(leader)) {
      await lead(cluster.nodes.find(isKnown) ?? leader);
      return false;
    }
    const followers = [...replaced].filter((node) => node !== leader);
    const counts: number[] = [];
    for (const node of followers) counts.push(await forwardTwo(node));
    // Another node may lead meanwhile.
    if (leader === undefined || (await cluster.leader())?.node !== leader) return false;
    if (counts.every(isRight)) return true;
    throw new Error(`followers sent ${counts} of 2 writes over the link, not by ${how}`);
  });
  console.log(`followers of this version forward by ${how}`);
}

/** Has a follower forward a write and a call. @returns how many went over the link, with those of the load. */
async function forwardTwo(node: NodeProcess): Promise<number> {
  const before = await forwardedByLink(node);
  for (const init of [{ method: "PUT", body: "1" }, { method: "DELETE" }]) {
    const headers = { authorization: `Bearer ${TOKEN}` };
    await fetch(`${urlOf(node)}/kv/upgrade/key`, { ...init, headers });
  }
  return (await forwardedByLink(node)) - before;
}

function urlOf({ http: { host, port } }: NodeProcess): string {
  return `http://${host}:${port}`;
}

async function forwardedByLink(node: NodeProcess): Promise<number> {
  const text = await (await fetch(`${urlOf(node)}/metrics`)).text();
  return Number(/^ayder_forwarded_commands_total (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
}

async function isReady({ http }: NodeProcess): Promise<boolean> {
  try {
    return (await fetch(`http://${http.host}:${http.port}/ready`)).ok;
  } catch {
    return false;
  }
}

/** Makes the node the leader. */
async function lead(node: NodeProcess): Promise<void> {
  const client = connect();
  await until(`${node.id} leads`, async () => {
    if ((await cluster.leader())?.node === node) return true;
    try {
      await client.cluster.transfer(node.id);
    } catch (error) {
      if (!(error instanceof AyderError)) throw error;
    }
    return false;
  });
}

type Answer = { readonly status: number; readonly error: string | undefined };

/** A numbered write to the leader. */
async function probe(): Promise<Answer> {
  const leader = await cluster.leader();
  if (leader === null) return { status: 0, error: undefined };
  const { host, port } = leader.node.http;
  const path = `/broker/topics/probes/produce?partition=0&producer=probe:${Date.now()}:0`;
  const answer = await fetch(`http://${host}:${port}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}` },
    body: "probe",
  });
  const body = (await answer.json()) as { readonly error?: string };
  return { status: answer.status, error: body.error };
}

/** A member of a group that shares partitions, at the leader. */
function joinGroup(): Promise<Answer> {
  return askLeader("POST", "/broker/groups/workers/join", { topics: [TOPIC], member: "m" });
}

function putExport(): Promise<Answer> {
  const fields = { topic: TOPIC, url: `file://${lake}/orders` };
  return askLeader("PUT", "/broker/exports/orders", fields);
}

function putWebhook(): Promise<Answer> {
  const fields = { topic: HOOKED, url: receiver.url, order: "partition", timeout_ms: 500 };
  return askLeader("PUT", `/broker/webhooks/${HOOKED}`, fields);
}

/** A webhook that is defined now delivers all records in order, also while the leader changes. */
async function verifyWebhook(next: NodeProcess): Promise<void> {
  const client = connect();
  await client.topics.create(HOOKED, { partitions: 1 });
  await until("a webhook is defined", async () => (await putWebhook()).status === 200);
  const { secret } = await client.webhooks.rotate(HOOKED);
  // The library that verifies a request parses its body.
  const texts = Array.from({ length: 2 * WRITES }, (_, i) => `{"event":${i}}`);
  for (const [i, text] of texts.entries()) {
    if (i === WRITES) await lead(next);
    await client.produce(HOOKED, text, { partition: 0 });
  }
  const seen = () => [...new Set(receiver.requests.map(({ text }) => text))];
  await until("all records are delivered", async () => seen().length >= texts.length);
  if (seen().join() !== texts.join()) throw new Error("records were delivered out of order");
  const wrong = receiver.requests.find((request) => !verified(request, secret).standard);
  if (wrong !== undefined) throw new Error(`the signature of ${wrong.text} is wrong`);
}

async function askLeader(method: string, path: string, fields: object): Promise<Answer> {
  const leader = await cluster.leader();
  if (leader === null) return { status: 0, error: undefined };
  const { host, port } = leader.node.http;
  const answer = await fetch(`http://${host}:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify(fields),
  });
  const body = (await answer.json()) as { readonly error?: string };
  return { status: answer.status, error: body.error };
}

async function mustBe(answer: Answer, status: number, error: string): Promise<void> {
  if (answer.status === status && answer.error === error) return;
  throw new Error(`a new command: ${answer.status} ${answer.error}, not ${status} ${error}`);
}

/** Every acknowledged message is at its offset, once, on every node, and a producer kept its order. */
async function verify(): Promise<void> {
  const contents = await Promise.all(urls.map(contentOf));
  const [stored = []] = contents;
  for (const other of contents) {
    if (other.join("\n") !== stored.join("\n")) throw new Error("two nodes differ");
  }
  if (new Set(stored).size !== stored.length) throw new Error("a message is there twice");
  for (const [text, offset] of acknowledged) {
    if (stored[offset] !== text)
      throw new Error(`offset ${offset} is ${stored[offset]}, not ${text}`);
  }
  const batch = stored.filter((text) => text.startsWith("batch "));
  const sorted = batch.map((_, i) => `batch ${i}`);
  if (batch.join() !== sorted.join()) throw new Error("a producer's messages changed places");
  await verifyStream();
}

/** Every acknowledged message is in a file, those of the earlier version too. */
async function verifyExport(): Promise<void> {
  await connect().exports.flush("orders");
  const values = new Map<number, string>();
  const read = (_partition: number, offset: number, value: string) => values.set(offset, value);
  await until("all messages are exported", async () => {
    await exported(directoryPlace(join(lake, "orders")), 0, read);
    return [...acknowledged].every(([text, offset]) => values.get(offset) === text);
  });
}

/** All numbers of the stream, once and in order, on every node. */
async function verifyStream(): Promise<void> {
  const wanted = Array.from({ length: streamed.count }, (_, i) => `${i}|`).join("");
  for (const url of urls) {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const text = await (await fetch(`${url}${STREAM}`, { headers })).text();
    // The last number may be stored without an answer.
    if (text !== wanted && text !== `${wanted}${streamed.count}|`) {
      throw new Error(`${url} has another stream: ${text.slice(-100)}`);
    }
  }
}

async function contentOf(url: string): Promise<string[]> {
  const texts: string[] = [];
  const client = createClient({ url, token: TOKEN });
  for await (const { text } of client.consume(TOPIC, { partition: 0, linearizable: true })) {
    texts.push(text);
  }
  return texts;
}

/** The earlier version ends with an error, and this one goes on afterwards. */
async function refusesNewData(node: NodeProcess, old: string): Promise<void> {
  await node.stop();
  node.command = [old];
  cluster.start(node);
  await until("the earlier version refuses the data", async () => node.endedByItself);
  node.command = serverCommand();
  cluster.start(node);
  await until(`${node.id} is ready again`, () => isReady(node));
  await verify();
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`in vain: ${what}`);
    await Bun.sleep(50);
  }
}
