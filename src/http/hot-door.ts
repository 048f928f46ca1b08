/**
 * The second door: routes whose rate counts are found by their prefix, without Elysia's dispatch.
 * Measured with wrk -t1 -c64 on two cores, Elysia's dispatch costs 8 to 12 % of a produce. Both doors lead to the same handler behind the same gate; what is not found here, for
 * whatever reason, goes through Elysia.
 */
import type { Route } from "./call.ts";
import { pathEndOf, pathStartOf } from "./raw-url.ts";

const TOPICS = "/broker/topics/";
const CONSUME = "/broker/consume/";
const KV = "/kv/";
const PRODUCE = "/produce";
const PRODUCE_NDJSON = "/produce-ndjson";
const CONSUME_PARAMETERS = 3;

export class HotDoor {
  readonly #produce: Route;
  readonly #produceLines: Route;
  readonly #consume: Route;
  readonly #kvGet: Route;
  readonly #kvPost: Route;
  readonly #kvPut: Route;

  constructor(routes: readonly Route[]) {
    const find = (name: string): Route => {
      const route = routes.find(({ meter }) => meter.route === name);
      if (route === undefined) throw new Error(`no route ${name}`);
      return route;
    };
    this.#produce = find("POST /broker/topics/:topic/produce");
    this.#produceLines = find("POST /broker/topics/:topic/produce-ndjson");
    this.#consume = find("GET /broker/consume/:topic/:group/:partition");
    this.#kvGet = find("GET /kv/:namespace/*");
    this.#kvPost = find("POST /kv/:namespace/*");
    this.#kvPut = find("PUT /kv/:namespace/*");
  }

  /** @returns null for everything that Elysia is to find. */
  find(method: string, url: string): Route | null {
    const start = pathStartOf(url);
    if (method === "POST") return this.#post(url, start);
    if (method === "PUT") return isKey(url, start) ? this.#kvPut : null;
    if (method !== "GET") return null;
    if (url.startsWith(CONSUME, start)) {
      const from = start + CONSUME.length;
      const segments = segmentsIn(url, from, pathEndOf(url, start));
      return segments === CONSUME_PARAMETERS ? this.#consume : null;
    }
    return isKey(url, start) ? this.#kvGet : null;
  }

  #post(url: string, start: number): Route | null {
    if (!url.startsWith(TOPICS, start)) return isKey(url, start) ? this.#kvPost : null;
    const end = pathEndOf(url, start);
    const slash = url.indexOf("/", start + TOPICS.length);
    if (slash < 0 || slash > end) return null;
    if (end - slash === PRODUCE.length && url.startsWith(PRODUCE, slash)) return this.#produce;
    const lines = end - slash === PRODUCE_NDJSON.length && url.startsWith(PRODUCE_NDJSON, slash);
    return lines ? this.#produceLines : null;
  }
}

/** `/kv/namespace/key`, the key not empty. */
function isKey(url: string, start: number): boolean {
  if (!url.startsWith(KV, start)) return false;
  const slash = url.indexOf("/", start + KV.length);
  return slash >= 0 && slash + 1 < pathEndOf(url, start);
}

/** Number of path segments in `[from, end)`; 0 if one of them is empty. */
function segmentsIn(url: string, from: number, end: number): number {
  let count = 0;
  for (let at = from; at <= end; count++) {
    const slash = url.indexOf("/", at);
    const stop = slash < 0 || slash > end ? end : slash;
    if (stop === at) return 0;
    at = stop + 1;
  }
  return count;
}
