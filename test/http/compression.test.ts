// Goal: whoever asks for a compressed answer gets exactly the bytes of the plain one, and nobody else.
import { afterEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { chooseEncoding, codingOf } from "../../src/http/accept.ts";
import type { AnswerSource } from "../../src/http/answer-streams.ts";
import { Compression } from "../../src/http/compression.ts";
import { COMPRESSOR_BYTES, compressionsMax } from "../../src/http/compressor.ts";
import { MemoryBudget } from "../../src/http/memory-budget.ts";
import { DEFAULT_MEMORY, type HttpOptions } from "../../src/http/options.ts";
import type { RunningServer } from "../../src/http/server.ts";
import { Slots } from "../../src/http/slots.ts";
import { createInstruments } from "../../src/metrics/instruments.ts";
import { FakeStreams } from "../tools/http/fake-streams.ts";
import { startFixture, TOKEN } from "../tools/http/fixture.ts";

const MIB = 1024 * 1024;
const CODINGS = ["gzip", "zstd"] as const;
const authorization = `Bearer ${TOKEN}`;
const running: RunningServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(running.splice(0).map((server) => server.stop(0)));
});

function start(changes: Partial<HttpOptions> = {}) {
  const made = startFixture({ streams: new FakeStreams(), ...changes });
  running.push(made.server);
  const get = async (path: string, headers: Record<string, string>, method = "GET") => {
    const init = { method, headers: { authorization, ...headers }, decompress: false };
    const response = await fetch(made.server.url + path, init);
    return { response, bytes: Buffer.from(await response.arrayBuffer()) };
  };
  return { ...made, get };
}

const decode = (coding: string | null, bytes: Buffer): Buffer => {
  if (coding === "gzip") return gunzipSync(bytes);
  return coding === "zstd" ? zstdDecompressSync(bytes) : bytes;
};

const until = async (holds: () => boolean) => {
  for (let i = 0; i < 4000 && !holds(); i++) await Bun.sleep(5);
  expect(holds()).toBe(true);
};

/** Text that gets shorter, but not to nothing. */
const text = (length: number): string => {
  let made = "";
  for (let i = 0; made.length < length; i++) made += `{"id":${(i * 7919) % 100_003},"n":"ä${i}"} `;
  return made.slice(0, length);
};

async function fill({ ask }: Pick<ReturnType<typeof start>, "ask">): Promise<void> {
  const produce = (topic: string, body: string) =>
    ask(`POST /broker/topics/${topic}/produce?partition=0`, { body });
  for (let i = 0; i < 12; i++) await produce("small", text(1000));
  await produce("middle", text(150_000));
  for (let i = 0; i < 5; i++) await produce("large", text(300_000));
  for (let i = 0; i < 20; i++) await produce(`topic-${i}`, "x");
  await ask("POST /kv/n/long", { body: text(3000) });
  await ask("POST /kv/n/huge", { body: text(200_000) });
  for (let i = 0; i < 50; i++) await ask(`POST /kv/many/key-${i}`, { body: "v" });
}

/** Compression without a server. */
function alone() {
  const instruments = createInstruments();
  const { answerBytesInUse, answersRefused } = instruments;
  const budget = new MemoryBudget(16 * MIB, answerBytesInUse, answersRefused);
  return { instruments, budget, compression: new Compression(true, budget, instruments) };
}

const PATHS = {
  "a page of one write": "/broker/consume/small/g/0?offset=0",
  "a page in base64": "/broker/consume/small/g/0?offset=0&encoding=b64",
  "a page of one buffer": "/broker/consume/middle/g/0?offset=0",
  "a page of many pieces": "/broker/consume/large/g/0?offset=0",
  topics: "/broker/topics",
  "a key": "/kv/n/long",
  "a large key": "/kv/n/huge",
  keys: "/kv/many",
  "the OpenAPI document": "/openapi.json",
};

describe("the same bytes after decompression", () => {
  for (const [name, path] of Object.entries(PATHS)) {
    test(name, async () => {
      const made = start();
      await fill(made);
      const plain = await made.get(path, { "accept-encoding": "identity" });
      expect(plain.response.status).toBe(200);
      expect(plain.response.headers.get("content-encoding")).toBeNull();
      expect(plain.response.headers.get("vary")).toBe("accept-encoding");
      expect(JSON.parse(plain.bytes.toString())).toBeObject();
      for (const coding of CODINGS) {
        const { response, bytes } = await made.get(path, { "accept-encoding": coding });
        expect(response.status).toBe(200);
        expect(response.headers.get("content-encoding")).toBe(coding);
        expect(response.headers.get("vary")).toBe("accept-encoding");
        expect(response.headers.get("content-type")).toBe("application/json");
        expect(bytes.length).toBeLessThan(plain.bytes.length);
        expect(decode(coding, bytes).equals(plain.bytes)).toBe(true);
      }
      const { answerBytesInUse, compressedFromBytes } = made.options.instruments;
      await until(() => answerBytesInUse.value === 0);
      expect(compressedFromBytes.value).toBe(2 * plain.bytes.length);
    });
  }

  test("pages that are made at the same time", async () => {
    const { app, ask } = start();
    const topics = ["a", "b", "c", "d"];
    for (const topic of topics) {
      await ask(`POST /broker/topics/${topic}/produce?partition=0`, { body: topic.repeat(5000) });
    }
    const asked = topics.map(async (topic) => {
      const headers = { authorization, "accept-encoding": "gzip" };
      const url = `http://localhost/broker/consume/${topic}/g/0?offset=0`;
      const answer = await app.fetch(new Request(url, { headers }));
      return JSON.parse(gunzipSync(await answer.arrayBuffer()).toString()).messages[0].value;
    });
    expect(await Promise.all(asked)).toEqual(topics.map((topic) => topic.repeat(5000)));
  });

  test("metrics, of one write and of many pieces", async () => {
    for (const topics of [1, 60]) {
      const made = start();
      for (let i = 0; i < topics; i++) {
        const topic = "x".repeat(200) + i;
        await made.ask(`POST /broker/topics/${topic}/produce?partition=0`, { body: "x" });
      }
      for (const coding of CODINGS) {
        const { response, bytes } = await made.get("/metrics", { "accept-encoding": coding });
        expect(response.headers.get("content-encoding")).toBe(coding);
        expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
        const lines = decode(coding, bytes).toString();
        expect(lines).toStartWith("# HELP ");
        expect(lines).toContain(`topic="${"x".repeat(200)}${topics - 1}"`);
        expect(lines).toEndWith("\n");
      }
    }
  });

  test("what is compressed in the binary is not compressed again", async () => {
    const made = start();
    for (const path of ["/docs", "/ui"]) {
      const plain = await made.get(path, { "accept-encoding": "identity" });
      const packed = await made.get(path, { "accept-encoding": "zstd, gzip" });
      expect(packed.response.headers.get("content-encoding")).toBe("gzip");
      expect(packed.response.headers.get("vary")).toBe("accept-encoding");
      expect(gunzipSync(packed.bytes).equals(plain.bytes)).toBe(true);
      // Other bytes, so not the same strong tag.
      const tag = plain.response.headers.get("etag") ?? "";
      expect(packed.response.headers.get("etag")).toBe(`W/${tag}`);
      for (const known of [tag, `W/${tag}`]) {
        const headers = { "accept-encoding": "gzip", "if-none-match": known };
        const again = await made.get(path, headers);
        expect(again.response.status).toBe(304);
        expect(again.response.headers.get("etag")).toBe(`W/${tag}`);
        expect(again.response.headers.get("content-encoding")).toBeNull();
        expect(again.bytes.length).toBe(0);
      }
    }
  });
});

describe("who gets it", () => {
  test("the header decides by weight", () => {
    const cases: readonly [string | null, string | null][] = [
      [null, null],
      ["", null],
      ["identity", null],
      ["br, deflate", null],
      ["gzip", "gzip"],
      ["x-gzip", "gzip"],
      ["GZIP", "gzip"],
      ["zstd", "zstd"],
      ["gzip, deflate, br, zstd", "zstd"],
      ["gzip, deflate", "gzip"],
      ["gzip;q=1, zstd;q=0.5", "gzip"],
      ["gzip;q=0.5, zstd;q=0.501", "zstd"],
      ["gzip;q=0", null],
      ["gzip;q=0.000", null],
      ["gzip;q=0, zstd", "zstd"],
      ["gzip;q=2", null],
      ["*", "gzip"],
      ["*;q=0", null],
      ["gzip, *;q=0", "gzip"],
      ["zstd, *", "zstd"],
      ["gzip, zstd;q=0, *", "gzip"],
      ["gzip;q=0, *", null],
      ["identity;q=0, gzip", "gzip"],
      ["identity;q=0", null],
      ["identity, gzip", "gzip"],
      ["identity, gzip;q=0.5", null],
      ["identity;q=0.5, gzip;q=0.5", "gzip"],
    ];
    for (const [header, coding] of cases) {
      expect([header, codingOf(header)]).toEqual([header, coding]);
    }
    expect(chooseEncoding("zstd, *", ["gzip"])).toBe("gzip");
    expect(chooseEncoding("*, gzip", ["zstd", "gzip"])).toBe("gzip");
  });

  test("answers below 1 KiB, bytes, streams and errors are sent as they are", async () => {
    const made = start();
    await fill(made);
    const asks = { "accept-encoding": "gzip, zstd" };
    await made.ask("POST /kv/n/short", { body: text(700) });
    const plain: readonly [string, Record<string, string>][] = [
      ["/health", {}],
      ["/kv/n/short", {}],
      ["/broker/consume/topic-1/g/0?offset=0", {}],
      ["/kv/n/long", { accept: "application/octet-stream" }],
      ["/kv/n/huge", { accept: "application/octet-stream" }],
      [`/kv/n/${"k".repeat(1500)}`, {}],
    ];
    for (const [path, headers] of plain) {
      const { response, bytes } = await made.get(path, { ...asks, ...headers });
      expect([path, response.headers.get("content-encoding")]).toEqual([path, null]);
      expect(response.headers.get("vary")).toBe("accept" in headers ? "accept" : null);
      expect(bytes.length).toBeGreaterThan(0);
    }
    for (const accept of ["text/event-stream", "application/x-ndjson"]) {
      const response = await fetch(
        `${made.server.url}/broker/consume/small/g/0?follow=1&offset=0`,
        {
          headers: { authorization, accept, ...asks },
          decompress: false,
        },
      );
      expect(response.headers.get("content-encoding")).toBeNull();
      expect(response.headers.get("vary")).toBeNull();
      await response.body?.cancel();
    }
  });

  test("1,020 bytes are sent as they are, 1,024 are compressed", async () => {
    const made = start();
    // {"value":"…","cas":1}, the value in base64: four characters for three bytes.
    const ask = async (bytes: number) => {
      await made.ask(`POST /kv/of-${bytes}/k`, { body: "x".repeat(bytes) });
      return await made.get(`/kv/of-${bytes}/k`, { "accept-encoding": "gzip" });
    };
    const below = await ask(750);
    expect(below.bytes.length).toBe(1020);
    expect(below.response.headers.get("content-encoding")).toBeNull();
    const above = await ask(753);
    expect(above.response.headers.get("content-encoding")).toBe("gzip");
    expect(gunzipSync(above.bytes).length).toBe(1024);
  });

  test("RF_COMPRESSION=0 answers everybody as it is", async () => {
    const made = start({ compression: false });
    await fill(made);
    for (const path of Object.values(PATHS)) {
      const { response, bytes } = await made.get(path, { "accept-encoding": "gzip, zstd" });
      expect(response.headers.get("content-encoding")).toBeNull();
      expect(JSON.parse(bytes.toString())).toBeObject();
    }
    expect(made.options.instruments.compressedFromBytes.value).toBe(0);
  });

  test("what does not get shorter is sent as it is", () => {
    const { instruments, compression } = alone();
    const random = crypto.getRandomValues(new Uint8Array(3000));
    for (const coding of CODINGS) expect(compression.now(coding, random)).toBeNull();
    expect(instruments.compressedFromBytes.value).toBe(0);
  });
});

describe("threads of the pool", () => {
  test("at most so many calls run at the same time, in their order; a failed one frees its slot", async () => {
    const slots = new Slots(2);
    const begun: number[] = [];
    const ends = [0, 1, 2, 3, 4].map(() => Promise.withResolvers<number>());
    const results = ends.map(({ promise }, i) =>
      slots
        .run(() => {
          begun.push(i);
          return promise;
        })
        .catch((error: Error) => error.message),
    );
    const after = async (act: () => void, expected: number[]) => {
      act();
      await new Promise<void>((resolve) => setImmediate(resolve));
      expect(begun).toEqual(expected);
    };
    await after(() => undefined, [0, 1]);
    await after(() => ends[1]?.reject(new Error("failed")), [0, 1, 2]);
    await after(() => ends[0]?.resolve(10), [0, 1, 2, 3]);
    await after(() => ends[3]?.resolve(13), [0, 1, 2, 3, 4]);
    for (const { resolve } of ends) resolve(0);
    expect(await Promise.all(results)).toEqual([10, "failed", 0, 13, 0]);
    expect(await slots.run(() => Promise.resolve("free again"))).toBe("free again");
  });

  test("an answer that is cut off while it waits for a thread leaves nothing charged", async () => {
    const { instruments, budget, compression } = alone();
    const endless = (): AnswerSource => ({
      next: async () => {
        budget.add(MIB);
        return new Uint8Array(MIB);
      },
      ended: () => undefined,
    });
    const sources = Array.from({ length: 12 }, () => compression.source("gzip", endless(), true));
    const pending = sources.map((source) => source?.next());
    await Promise.resolve();
    await Promise.resolve();
    for (const source of sources) source?.ended();
    const outcomes = await Promise.allSettled(pending);
    expect(outcomes.map(({ status }) => status)).toEqual(sources.map(() => "rejected"));
    expect(instruments.answerBytesInUse.value).toBe(0);
  });
});

describe("HEAD and tags", () => {
  test("HEAD has the headers of GET", async () => {
    const made = start();
    await fill(made);
    for (const path of [...Object.values(PATHS), "/docs", "/health"]) {
      for (const coding of ["identity", ...CODINGS]) {
        const headers = { "accept-encoding": coding };
        const get = await made.get(path, headers);
        const head = await made.get(path, headers, "HEAD");
        const shown = ({ headers }: Response) => {
          const all = Object.fromEntries(headers);
          const { date: _, "content-length": length, "transfer-encoding": chunked, ...rest } = all;
          return { rest, sized: length ?? chunked };
        };
        expect(head.bytes.length).toBe(0);
        expect(head.response.status).toBe(200);
        expect(shown(head.response).rest).toEqual(shown(get.response).rest);
        const length = head.response.headers.get("content-length");
        // A large answer is sent in pieces, and its length is told only if it is known.
        if (length !== null) expect(Number(length)).toBe(get.bytes.length);
        else expect(head.response.headers.get("transfer-encoding")).toBe("chunked");
        expect(Date.parse(head.response.headers.get("date") ?? "")).toBeGreaterThan(0);
      }
    }
  });

  test("the tag of a compressed value is weak, and 304 still comes", async () => {
    const made = start();
    await fill(made);
    const headers = { "accept-encoding": "gzip", "if-none-match": '"nope"' };
    const first = await made.get("/kv/n/long", headers);
    expect(first.response.headers.get("etag")).toBe('W/"1"');
    expect(first.response.headers.get("vary")).toBe("accept, accept-encoding");
    expect(JSON.parse(gunzipSync(first.bytes).toString())).toMatchObject({ cas: 1 });
    const again = await made.get("/kv/n/long", { ...headers, "if-none-match": 'W/"1"' });
    expect([again.response.status, again.bytes.length]).toEqual([304, 0]);
    const plain = await made.get("/kv/n/long", { ...headers, "accept-encoding": "identity" });
    expect(plain.response.headers.get("etag")).toBe('"1"');
  });
});

describe("the budget of answers", () => {
  const PAGE = "/broker/consume/large/g/0?offset=0&limit=1000&max_bytes=67108864";

  /** Sends a request and reads nothing. */
  function paused(port: number, path: string, coding: string): void {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.pause();
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nAccept-Encoding: ${coding}\r\n\r\n`,
    );
  }

  test("compressed answers that nobody reads are bounded, refused and cut off; all is given back", async () => {
    const memory = { ...DEFAULT_MEMORY, answerBytesMax: 8 * MIB, stalledAnswerMs: 2_000 };
    const made = start({ memory });
    const { instruments } = made.options;
    const noise = Buffer.alloc(MIB);
    for (let i = 0; i < 20; i++) {
      crypto.getRandomValues(noise.subarray(0, 65_536));
      for (let at = 65_536; at < MIB; at += 65_536) {
        crypto.getRandomValues(noise.subarray(at, at + 65_536));
      }
      await made.ask("POST /broker/topics/large/produce?partition=0", {
        body: new Uint8Array(noise),
      });
    }
    await made.ask("POST /kv/n/k", { body: new Uint8Array(noise) });
    for (let i = 0; i < 10; i++) {
      for (const coding of CODINGS) {
        paused(made.server.port, PAGE, coding);
        paused(made.server.port, "/kv/n/k", coding);
      }
    }
    await until(() => instruments.answersRefused.value > 0);
    expect(instruments.answerBytesInUse.value).toBeLessThan(8 * MIB + 4 * MIB);
    const refused = await made.get("/kv/n/k", { "accept-encoding": "gzip" });
    expect(refused.response.status).toBe(503);
    expect(JSON.parse(refused.bytes.toString())).toMatchObject({ error: "overloaded" });
    await until(() => instruments.answerBytesInUse.value === 0);
    expect(instruments.stalledAnswers.value).toBeGreaterThan(0);
    const after = await made.get("/kv/n/k", { "accept-encoding": "zstd" });
    expect(zstdDecompressSync(after.bytes).length).toBeGreaterThan(MIB);
  });

  test("clients that leave in the middle give everything back", async () => {
    const made = start();
    await fill(made);
    for (let i = 0; i < 20; i++) {
      for (const coding of CODINGS) paused(made.server.port, PAGE, coding);
    }
    await until(() => made.options.instruments.answerBytesInUse.value > MIB);
    for (const socket of sockets.splice(0)) socket.destroy();
    await until(() => made.options.instruments.answerBytesInUse.value === 0);
    expect(made.options.instruments.requestsInFlight.value).toBe(0);
  });

  test("without room for a compressor the answer is sent as it is", async () => {
    const memory = { ...DEFAULT_MEMORY, answerBytesMax: COMPRESSOR_BYTES };
    const made = start({ memory });
    await fill(made);
    for (const path of ["/kv/n/huge", "/broker/consume/large/g/0?offset=0"]) {
      const { response, bytes } = await made.get(path, { "accept-encoding": "gzip" });
      expect([response.status, response.headers.get("content-encoding")]).toEqual([200, null]);
      expect(JSON.parse(bytes.toString())).toBeObject();
    }
  });

  test("a source that ends while a piece is compressed leaves nothing charged", async () => {
    for (const coding of CODINGS) {
      const { instruments, budget, compression } = alone();
      const { answerBytesInUse } = instruments;
      let ended = 0;
      const plain: AnswerSource = {
        next: async () => {
          budget.add(MIB);
          return new Uint8Array(MIB);
        },
        ended: () => {
          ended++;
        },
      };
      const source = compression.source(coding, plain, true);
      expect(answerBytesInUse.value).toBe(COMPRESSOR_BYTES);
      const pending = source?.next();
      await Promise.resolve();
      await Promise.resolve();
      source?.ended();
      await expect(pending).rejects.toThrow("the answer was cut off");
      expect([answerBytesInUse.value, ended]).toEqual([0, 1]);
    }
  });
});

test("the threads that serve HTTP share the half of the pool that is not left to fdatasync", () => {
  expect([1, 2, 3, 4, 6].map((threads) => compressionsMax(threads, 8))).toEqual([4, 2, 1, 1, 1]);
  expect([1, 2].map((processors) => compressionsMax(1, processors))).toEqual([1, 1]);
  const { budget, instruments } = alone();
  const many = navigator.hardwareConcurrency;
  const { slots } = new Compression(true, budget, instruments, many);
  const began: number[] = [];
  for (const number of [1, 2, 3]) {
    void slots.run(() => {
      began.push(number);
      return new Promise(() => undefined);
    });
  }
  expect(began).toEqual([1]);
});
