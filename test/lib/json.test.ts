/**
 * The reader accepts what `JSON.parse` accepts and gives the same values, but with every digit.
 * Random documents, and random damage to them.
 */
import { expect, test } from "bun:test";
import { type Json, JsonNumber, JsonReader } from "../../src/lib/json.ts";
import { jsonValueEnd, TOO_LONG } from "../../src/lib/json-skip.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

class Reader extends JsonReader<JsonNumber> {
  readonly repeatedNames: string[] = [];

  constructor(text: string, depthMax = 1000) {
    super(text, depthMax);
  }

  protected override wrong(why: string, at: number): Error {
    return new Error(`${at}: ${why}`);
  }
  protected override numberOf(source: string): JsonNumber {
    return new JsonNumber(source);
  }
  protected override repeated(name: string): void {
    this.repeatedNames.push(name);
  }
  protected override refusal(text: string): string | null {
    return text === "refused" ? "this text is refused" : null;
  }
}

function accepts(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}

function whole(text: string): Json {
  const reader = new Reader(text);
  const value = reader.value();
  reader.end();
  return value;
}

function plain(value: Json): unknown {
  if (value instanceof JsonNumber) return Number(value.text);
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  return Object.fromEntries([...value].map(([name, item]) => [name, plain(item)]));
}

const TEXTS = ["", "a", 'q"\\/', "ü\u2028", "{[,:]}", "\u{1f600}", "\u0000\n", "__proto__"];
const NUMBERS = ["0", "-0", "-1.50", "1e400", "12345678901234567890", "2.0E-3", "9007199254740993"];

function document(random: Random, depth = 0): string {
  const blank = () => random.pick(["", "", " ", "\n\t", "\r\n  "]);
  const kind = random.below(depth > 4 ? 4 : 6);
  if (kind === 0) return JSON.stringify(random.pick(TEXTS));
  if (kind === 1) return random.pick(NUMBERS);
  if (kind < 4) return random.pick(["true", "false", "null"]);
  const items = Array.from({ length: random.below(4) }, () => {
    const item = `${blank()}${document(random, depth + 1)}${blank()}`;
    if (kind === 4) return item;
    return `${blank()}${JSON.stringify(random.pick(TEXTS))}${blank()}:${item}`;
  });
  return kind === 4 ? `[${blank()}${items.join(",")}]` : `{${blank()}${items.join(",")}}`;
}

test("the tree of a random document is that of JSON.parse", () => {
  forEachSeed(500, (random) => {
    const text = document(random);
    expect(plain(whole(text))).toEqual(JSON.parse(text));
  });
});

test("damaged documents are accepted exactly if JSON.parse accepts them", () => {
  forEachSeed(2000, (random) => {
    const text = document(random);
    const at = random.below(text.length + 1);
    const broken =
      text.slice(0, at) +
      random.pick(["", ",", '"', "}", "]", "1", "\\", "\u0001", "x", ".", "e", "-", " "]) +
      text.slice(at + random.below(2));
    const reads = accepts(() => whole(broken));
    expect(reads, broken).toBe(accepts(() => JSON.parse(broken)));
  });
});

test("a part comes as it is written, and the next value follows it", () => {
  forEachSeed(500, (random) => {
    const parts = Array.from({ length: 1 + random.below(5) }, () => document(random));
    const reader = new Reader(`[ ${parts.join(" , ")} ]`);
    const sources: string[] = [];
    reader.eachItem(() => sources.push(reader.source()));
    reader.end();
    expect(sources).toEqual(parts);
  });
});

test("numbers keep their digits, and names their order", () => {
  const value = whole('{"b":1.0,"a":12345678901234567890}');
  expect(value instanceof Map && [...value]).toEqual([
    ["b", new JsonNumber("1.0")],
    ["a", new JsonNumber("12345678901234567890")],
  ]);
});

test("errors name the position and the problem", () => {
  for (const [text, message] of [
    ["", "0: a value is missing or malformed"],
    ["[1 2]", '3: "," or "]" is missing'],
    ['{"a" 1}', '5: ":" is missing'],
    ["{a:1}", "1: a field name in quotes is missing"],
    ['["a\u0001"]', "1: a string is malformed"],
    ['["refused"]', "1: this text is refused"],
    ["tru", "0: a value is malformed"],
    ["{} 1", "3: nothing may follow the value"],
  ] as const) {
    expect(() => whole(text)).toThrow(message);
  }
  expect(() => new Reader("[[[1]]]", 2).value()).toThrow("3: it is nested deeper than 2");
  expect(new Reader("[[1]]", 2).value()).toEqual([[new JsonNumber("1")]]);
});

test("a repeated name is reported, in a tree and field by field", () => {
  const text = '{"a":1,"b":{"a":2},"a":3}';
  const tree = new Reader(text);
  tree.value();
  expect(tree.repeatedNames).toEqual(["a"]);
  const fields = new Reader(text);
  fields.eachField(() => fields.source());
  expect(fields.repeatedNames).toEqual(["a"]);
});

test("a value ends where JSON.parse would end it, and damage is refused where it refuses", () => {
  let refused = 0;
  forEachSeed(5000, (random) => {
    const text = document(random);
    expect(jsonValueEnd(`x${text}]`, 1)).toBe(text.length + 1);
    const at = random.below(text.length + 1);
    const damage = random.pick([
      ...'{}[]",:\\\u0000\u0001\n 01eE.-+tfnu/',
      "\\u12",
      "\\u12G4",
      "\\x",
      "ü",
    ]);
    const broken = text.slice(0, at) + damage + text.slice(at + random.below(3));
    const end = jsonValueEnd(broken, broken.search(/[^ \n\r\t]|$/));
    const isWhole = end >= 0 && broken.slice(end).trim() === "";
    expect([broken, isWhole]).toEqual([broken, accepts(() => JSON.parse(broken))]);
    if (!isWhole) refused++;
  });
  expect(refused).toBeGreaterThan(1000);
});

test("a value may be nested as deep as it is long", () => {
  const deep = "[".repeat(1_000_000) + "]".repeat(1_000_000);
  expect(jsonValueEnd(deep, 0)).toBe(2_000_000);
  expect(jsonValueEnd(deep.slice(0, -1), 0)).toBe(-1);
  expect(jsonValueEnd(deep, 0, 10)).toBe(TOO_LONG);
  expect(jsonValueEnd("[1,2,3]", 0, 7)).toBe(7);
  expect(jsonValueEnd("[1,2,3]", 0, 3)).toBe(TOO_LONG);
  expect(jsonValueEnd('{"a":['.repeat(100_000), 0)).toBe(-1);
});
