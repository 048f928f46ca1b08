/** The cases of `bench/run.ts`: requests to Ayder, the floors, and the loads of peers that do the like. */
import { BATCH_TYPE, encodeBatches } from "../../src/client/batch-writer.ts";
import { BATCHES_TYPE } from "../../src/client/batches.ts";
import { utf8 } from "../../src/lib/bytes.ts";
import { bigValue, MESSAGE, NDJSON_100, rawRequest } from "./requests.ts";

/** The topic of most cases and its partitions. */
export const TOPIC = "bench";
export const PARTITIONS = 8;
/** The topic of the pages at random offsets. */
export const BIG = { topic: "big", messages: 400_000, valueAt: bigValue } as const;
const BIG_REQUESTS = 512;

export type Case = {
  readonly name: string;
  readonly requests: readonly string[];
  /** Messages that one answer stands for. */
  readonly messages: number;
  readonly connections: number;
  /** `files`: the server that caches no records in memory, so that each page is read from files. */
  readonly server: "ayder" | "files";
  /** The check of the server after a load. */
  readonly proof: Proof;
  readonly floors: readonly Floor[];
  /** Names of loads of peers. */
  readonly peers: readonly string[];
};

/** `stored`: as many messages as were acknowledged. `page`: the right messages. `key`: the right value. */
export type Proof = "stored" | "page" | "random page" | "key";

/** A server that does next to nothing, and the requests to it: the comparison of a case. */
export type Floor = {
  readonly name: string;
  readonly server: "bare" | "elysia";
  readonly requests: readonly string[];
};

const spread = (make: (partition: number) => string) =>
  Array.from({ length: PARTITIONS }, (_, partition) => make(partition));

/** Requests in the form of Ayder's API, which the C original understands as well. */
export const produces = (query = ""): readonly string[] =>
  spread((p) => rawRequest("POST", producePath("produce", p, query), MESSAGE));
export const lines = (query = ""): readonly string[] =>
  spread((p) => rawRequest("POST", producePath("produce-ndjson", p, query), NDJSON_100));
/** The same number of messages as a batch that the client encoded. */
const batches = (messages: number): readonly string[] => {
  const record = { key: null, content: utf8(MESSAGE) };
  const body = encodeBatches(Array.from({ length: messages }, () => record));
  return spread((p) => rawRequest("POST", producePath("produce", p), body, "dev", BATCH_TYPE));
};
const firstBatches = (limit: number): readonly string[] =>
  spread((p) => rawRequest("GET", pagePath(TOPIC, p, 0, limit), null, "dev", null, BATCHES_TYPE));
export const firstPages = (limit: number): readonly string[] =>
  spread((p) => rawRequest("GET", pagePath(TOPIC, p, 0, limit)));
export const puts = (query = ""): readonly string[] =>
  spread((p) => rawRequest("POST", `/kv/bench/key-${p}${query}`, MESSAGE));
export const gets = (): readonly string[] => spread((p) => rawRequest("GET", `/kv/bench/key-${p}`));
export const randomPages = (limit: number): readonly string[] =>
  placesOf(limit).map(({ partition, offset }) =>
    rawRequest("GET", pagePath(BIG.topic, partition, offset, limit)),
  );

export function producePath(call: string, partition: number, query = ""): string {
  return `/broker/topics/${TOPIC}/${call}?partition=${partition}${query}`;
}

export function pagePath(topic: string, partition: number, offset: number, limit: number): string {
  return `/broker/consume/${topic}/g/${partition}?offset=${offset}&limit=${limit}&encoding=b64`;
}

/** @returns the same scattered places for every server, with a whole page behind each. */
export function placesOf(limit: number): { partition: number; offset: number }[] {
  const range = BIG.messages / PARTITIONS - limit;
  return Array.from({ length: BIG_REQUESTS }, (_, n) => ({
    partition: n % PARTITIONS,
    offset: (n * 48_271 + 11) % range,
  }));
}

const bare = (name: string, request: string): Floor => ({
  name,
  server: "bare",
  requests: [request],
});
const echo = (body: string) => bare("echo", rawRequest("POST", "/echo", body));
const synced = (body: string) => bare("synced echo", rawRequest("POST", "/synced", body));
const constant = bare("constant", rawRequest("GET", "/static"));
const elysiaGet: Floor = {
  name: "elysia GET",
  server: "elysia",
  requests: [rawRequest("GET", "/static")],
};

export const CASES: readonly Case[] = [
  {
    name: "produce/single/sealed",
    requests: produces(),
    messages: 1,
    connections: 64,
    server: "ayder",
    proof: "stored",
    floors: [echo(MESSAGE), synced(MESSAGE)],
    peers: [
      "redis XADD always",
      "nats JetStream, not synced",
      "etcd put (JSON)",
      "nginx POST",
      "C original, synced",
      "C original, not synced",
    ],
  },
  {
    name: "produce/single/rocket",
    requests: produces("&mode=rocket"),
    messages: 1,
    connections: 64,
    server: "ayder",
    proof: "stored",
    floors: [echo(MESSAGE)],
    peers: ["C original, not synced"],
  },
  {
    name: "produce/ndjson100/sealed",
    requests: lines(),
    messages: 100,
    connections: 64,
    server: "ayder",
    proof: "stored",
    floors: [echo(NDJSON_100), synced(NDJSON_100)],
    peers: [
      "redis XADD always, pipeline 100",
      "nginx POST, 100 lines",
      "C original, 100 lines, synced",
    ],
  },
  {
    name: "produce/batch1000/sealed",
    requests: batches(1000),
    messages: 1000,
    connections: 16,
    server: "ayder",
    proof: "stored",
    floors: [],
    peers: [],
  },
  {
    name: "consume/limit=100/b64",
    requests: firstPages(100),
    messages: 100,
    connections: 64,
    server: "ayder",
    proof: "page",
    floors: [constant],
    peers: ["redis XRANGE 100", "nginx GET", "C original, page of 100"],
  },
  {
    name: "consume/limit=1000/b64",
    requests: firstPages(1000),
    messages: 1000,
    connections: 16,
    server: "ayder",
    proof: "page",
    floors: [],
    peers: ["redis XRANGE 1000", "C original, page of 1000"],
  },
  {
    name: "consume/limit=1000/batches",
    requests: firstBatches(1000),
    messages: 1000,
    connections: 16,
    server: "ayder",
    proof: "page",
    floors: [],
    peers: [],
  },
  {
    name: "consume/limit=100/b64/files",
    requests: randomPages(100),
    messages: 100,
    connections: 64,
    server: "files",
    proof: "random page",
    floors: [constant],
    peers: ["C original, random page of 100"],
  },
  {
    name: "consume/limit=1000/b64/files",
    requests: randomPages(1000),
    messages: 1000,
    connections: 16,
    server: "files",
    proof: "random page",
    floors: [],
    peers: ["C original, random page of 1000"],
  },
  {
    name: "kv/put",
    requests: puts(),
    messages: 1,
    connections: 64,
    server: "ayder",
    proof: "key",
    floors: [echo(MESSAGE), synced(MESSAGE)],
    peers: ["redis SET always", "etcd put (JSON)", "C original KV put, synced"],
  },
  {
    name: "kv/get",
    requests: gets(),
    messages: 1,
    connections: 64,
    server: "ayder",
    proof: "key",
    floors: [constant, elysiaGet],
    peers: ["redis GET", "etcd range (JSON)", "nginx GET", "C original KV get"],
  },
];
