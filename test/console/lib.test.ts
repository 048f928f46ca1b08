/** The parts of the console that do not need a browser. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { indentedText, parseJson, shortText, tokensOf } from "../../src/client/json-text.ts";
import {
  fromBase64,
  fromHex,
  hexDump,
  textOf,
  toBase64,
  toHex,
} from "../../src/console/browser/lib/bytes.ts";
import { eventOf, readEvents } from "../../src/console/browser/lib/event-stream.ts";
import { byteSize, duration, seconds, short } from "../../src/console/browser/lib/format.ts";
import { elementsOf } from "../../src/console/browser/lib/json-array.ts";
import { parseMetrics, quantile, sumOf } from "../../src/console/browser/lib/prometheus.ts";
import { curlOf, withQuery } from "../../src/console/browser/lib/request.ts";
import { forkStream, getKey, produce } from "../../src/console/browser/lib/requests.ts";
import { hashOf, parseHash } from "../../src/console/browser/lib/route.ts";
import { temporaryDirectory } from "../tools/process/server.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const TARGET = { base: "http://127.0.0.1:1109", cluster: false };

/** Parses a line with a shell: returns the arguments of each command in it, and its input. */
async function inShell(line: string): Promise<{ args: string[]; input: Uint8Array }> {
  const script = `curl() { printf '%s\\0' "$@" >&2; cat; }\n${line}`;
  // The line is read from a file, because an argument is limited to 128 KiB.
  const directory = temporaryDirectory();
  const file = join(directory.path, "line.sh");
  await Bun.write(file, script);
  const child = Bun.spawn(["sh", file], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env["PATH"] ?? "", AYDER_TOKEN: "secret" },
  });
  const [input, args] = await Promise.all([
    new Response(child.stdout).arrayBuffer(),
    new Response(child.stderr).text(),
  ]);
  expect(await child.exited).toBe(0);
  directory.remove();
  return { args: args.split("\0").slice(0, -1), input: new Uint8Array(input) };
}

const message = (body: string | Uint8Array<ArrayBuffer>, key: string | null = null) =>
  produce({
    topic: "t",
    lines: false,
    partition: 0,
    key,
    idempotencyKey: null,
    rocket: false,
    body,
  });

test("a line for curl sends exactly the request, with any characters in it", async () => {
  const key = "a'b $HOME `id` \\ é\n&?#";
  const line = curlOf(message('it\'s $HOME `id` "x" \\\n@file', key), TARGET);
  const { args } = await inShell(line);
  expect(args).toEqual([
    "-sS",
    "-H",
    "Authorization: Bearer secret",
    `http://127.0.0.1:1109/broker/topics/t/produce?partition=0&key=${encodeURIComponent(key)}`,
    "--data-raw",
    'it\'s $HOME `id` "x" \\\n@file',
  ]);
});

test("bytes, zeros and long texts are piped", async () => {
  const bytes = new Uint8Array([0, 255, 39, 10, 0]);
  const raw = await inShell(curlOf(message(bytes), TARGET));
  expect(raw.args.slice(-2)).toEqual(["--data-binary", "@-"]);
  expect(raw.input).toEqual(bytes);
  const long = "long ".repeat(50_000);
  const piped = await inShell(curlOf(message(long), TARGET));
  expect(new TextDecoder().decode(piped.input)).toBe(long);
  expect(new TextDecoder().decode((await inShell(curlOf(message("a\0b"), TARGET))).input)).toBe(
    "a\0b",
  );
});

test("the method, the redirect option and the token are present if needed", () => {
  const remove = { method: "DELETE", path: "/kv/a/b" } as const;
  expect(curlOf(remove, TARGET)).toBe(
    `curl -sS -X DELETE -H "Authorization: Bearer $AYDER_TOKEN" 'http://127.0.0.1:1109/kv/a/b'`,
  );
  expect(curlOf(remove, { ...TARGET, cluster: true })).toContain(" -L --location-trusted ");
  const metrics = { method: "GET", path: "/metrics" } as const;
  expect(curlOf(metrics, { ...TARGET, cluster: true })).toBe(
    `curl -sS -H "Authorization: Bearer $AYDER_TOKEN" 'http://127.0.0.1:1109/metrics'`,
  );
});

test("parameters without a value are omitted; keys keep their slashes and dots", () => {
  expect(withQuery("/a", { x: null, y: undefined })).toBe("/a");
  expect(withQuery("/a", { x: 0, y: "", z: "a b&c" })).toBe("/a?x=0&y=&z=a%20b%26c");
  expect(getKey("ns", "a/../b").path).toBe("/kv/ns/a%2F..%2Fb");
});

test("an address is parsed to the same place", () => {
  const hash = hashOf(["keys", "ns", "a/b?c#d%"], { partition: 0, search: "ü &=", none: null });
  const { path, query } = parseHash(hash);
  expect(path).toEqual(["keys", "ns", "a/b?c#d%"]);
  expect([...query]).toEqual([
    ["partition", "0"],
    ["search", "ü &="],
  ]);
  expect(parseHash("").path).toEqual([]);
  expect(parseHash("#/topics/100%").path).toEqual(["topics", "100%"]);
});

test("numbers keep every digit and members their order", () => {
  const text = '{"b":9223372036854775807,"a":[1.10,-0,1e400,{}],"b":"\\u0041\\n","":null,"t":[]}';
  expect(
    tokensOf(text)
      .map((token) => token.text)
      .join(""),
  ).toBe(text);
  expect(indentedText(text)).toBe(
    '{\n  "b": 9223372036854775807,\n  "a": [1.10, -0, 1e400, {}],\n  "b": "\\u0041\\n",\n  "": null,\n  "t": []\n}',
  );
  const long = `[{"a":"${"x".repeat(60)}"},{}]`;
  expect(indentedText(long)).toBe(`[\n  {\n    "a": "${"x".repeat(60)}"\n  },\n  {}\n]`);
  expect(indentedText("{}")).toBe("{}");
  expect(shortText(parseJson('{"a":[18446744073709551615,"x"]}'))).toBe(
    '{"a":[18446744073709551615,"x"]}',
  );
});

test("invalid JSON is rejected with its position", () => {
  for (const [text, place] of [
    ["", "line 1, column 1"],
    ['{"a":1,\n "b" 2}', "line 2, column 6"],
    ['{"a":1,}', "line 1, column 8"],
    ["[1,]", "line 1, column 4"],
    ["[01]", "line 1, column 3"],
    ['"a\u0001b"', "line 1, column 1"],
    ['"\\x"', "line 1, column 1"],
    ["{} {}", "line 1, column 4"],
    ["nul", "line 1, column 1"],
    ["'a'", "line 1, column 1"],
    ['{"a":1', "line 1, column 7"],
  ] as const) {
    expect(() => JSON.parse(text)).toThrow();
    expect(() => parseJson(text), text).toThrow(place);
  }
  expect(() => parseJson("[".repeat(100_000))).toThrow("nested deeper than 1000");
});

test("accepts and rejects the same texts as JSON.parse", () => {
  forEachSeed(200, (random) => {
    const text = JSON.stringify(anyJson(random, 0), null, random.below(3));
    expect(JSON.parse(indentedText(text))).toEqual(JSON.parse(text));
    const at = random.below(text.length);
    const broken = text.slice(0, at) + ',:{}[]"\\x 1'.charAt(random.below(11)) + text.slice(at + 1);
    const wanted = accepts(() => JSON.parse(broken));
    expect(
      accepts(() => parseJson(broken)),
      broken,
    ).toBe(wanted);
  });
});

function accepts(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}

function anyJson(random: Random, depth: number): unknown {
  const kind = random.below(depth > 3 ? 4 : 6);
  if (kind === 0) return random.below(1000) / 8 - 50;
  if (kind === 1) return ['"', "\\", "é", "\u0007", "</script>", ""][random.below(6)];
  if (kind === 2) return random.below(2) === 0;
  if (kind === 3) return null;
  const items = Array.from({ length: random.below(4) }, () => anyJson(random, depth + 1));
  return kind === 4 ? items : Object.fromEntries(items.map((item, i) => [`k${i}`, item]));
}

test("bytes are converted to text, base64 and hex, and back", () => {
  const all = Uint8Array.from({ length: 70_000 }, (_, i) => i % 256);
  expect(fromBase64(toBase64(all))).toEqual(all);
  expect(fromHex(toHex(all))).toEqual(all);
  expect(textOf(all)).toBeNull();
  expect(textOf(new Uint8Array([0xef, 0xbb, 0xbf, 0x61]))).toBe("\ufeffa");
  expect(fromHex("0")).toBeNull();
  expect(fromHex("0g")).toBeNull();
  expect(fromHex("")).toEqual(new Uint8Array(0));
  expect(hexDump(Uint8Array.from({ length: 18 }, (_, i) => i + 60))).toBe(
    "00000000  3c 3d 3e 3f 40 41 42 43  44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK\n" +
      "00000010  4c 4d                                             LM",
  );
});

test("numbers are formatted for people", () => {
  expect([0, 1023, 1024, 1536, 123 * 1024 ** 2].map(byteSize)).toEqual([
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "123 MiB",
  ]);
  expect([0, 999, 1234, 2_500_000].map(short)).toEqual(["0", "999", "1.23k", "2.5M"]);
  expect([0.0000005, 0.0021, 1.5].map(seconds)).toEqual(["0.5 µs", "2.1 ms", "1.5 s"]);
  expect([400, 61_000, 90_061_000].map(duration)).toEqual(["400 ms", "1 min 1 s", "1 d 1 h"]);
});

test("metrics are parsed with labels, and quantiles are computed between two scrapes", () => {
  const scrape = (counts: readonly number[]) =>
    parseMetrics(
      `# HELP x y\nx_bucket{le="1",r="a\\"b\\\\n"} ${counts[0]}\nx_bucket{le="2",r="a\\"b\\\\n"} ${counts[1]}\nx_bucket{le="+Inf",r="a\\"b\\\\n"} ${counts[2]}\ny 1.5e3\n`,
    );
  const before = scrape([10, 10, 10]);
  const after = scrape([10, 20, 20]);
  expect(before.get("x_bucket")?.[0]?.labels["r"]).toBe('a"b\\n');
  expect(sumOf(before, "y")).toBe(1500);
  expect(quantile(0.5, before, after, "x")).toBe(1.5);
  expect(quantile(0.5, before, before, "x")).toBeNull();
  expect(quantile(1, before, scrape([10, 10, 11]), "x")).toBe(2);
});

test("elements of a JSON array keep their text, and headers are in the line for curl", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  for (const [text, elements] of [
    ["[]", []],
    ["[ ]", []],
    ['[1.0,"a,]\\"",{"b":[1,2]} , null]', ["1.0", '"a,]\\""', '{"b":[1,2]}', "null"]],
    ['[[],{},"\\\\"]', ["[]", "{}", '"\\\\"']],
    ["[12345678901234567890]", ["12345678901234567890"]],
  ] as const) {
    expect(elementsOf(bytes(text))).toEqual([...elements]);
  }
  const fork = forkStream({ stream: "a/ü", from: "b c", offset: "1_2", ttlSeconds: 60 });
  expect(curlOf(fork, TARGET)).toBe(
    "curl -sS -X PUT -H \"Authorization: Bearer $AYDER_TOKEN\" -H 'Stream-Forked-From: /v1/stream/b%20c' " +
      "-H 'Stream-Fork-Offset: 1_2' -H 'Stream-TTL: 60' 'http://127.0.0.1:1109/v1/stream/a/%C3%BC'",
  );
});

test("events are parsed across chunk boundaries", async () => {
  const text = ': still here\n\nid: 1\ndata: {"a":"é"}\n\nevent: error\ndata: x\n\n';
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 7, bytes.length]) {
    const events: unknown[] = [];
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size)
          controller.enqueue(bytes.slice(at, at + size));
        controller.close();
      },
    });
    await readEvents(body, (event) => events.push(event));
    expect(events).toEqual([
      { name: "message", data: '{"a":"é"}' },
      { name: "error", data: "x" },
    ]);
  }
  expect(eventOf(": comment")).toBeNull();
});
