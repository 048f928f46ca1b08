import { describe, expect, test } from "bun:test";
import {
  decimal,
  decodePercent,
  pathSegment,
  pathStartOf,
  readQuery,
} from "../../src/http/raw-url.ts";
import { forEachSeed } from "../tools/random.ts";

const NAMES = ["partition", "key", "p"];

describe("raw URLs", () => {
  test("the path begins behind the host, or at once", () => {
    expect(pathStartOf("http://x/a")).toBe(8);
    expect(pathStartOf("https://localhost:1109/a")).toBe(22);
    expect(pathStartOf("/a")).toBe(0);
  });
  test("segments are cut where the slashes are", () => {
    const url = "http://x/kv/ns/a/b?c=/d";
    const segment = (n: number, rest: boolean) => pathSegment(url, 8, 18, n, rest);
    expect([segment(0, false), segment(1, false), segment(2, false), segment(2, true)]).toEqual([
      "kv",
      "ns",
      "a",
      "a/b",
    ]);
    expect(segment(4, false)).toBe("");
  });
  test("known parameters come in the order of their names", () => {
    const read = (query: string) => readQuery(query, 0, NAMES, false);
    expect(read("")).toEqual([null, null, null]);
    expect(read("key=a%20b+c&p=1&partition=2")).toEqual(["2", "a b c", "1"]);
    expect(read("&&key&x=1&")).toEqual([null, "", null]);
    expect(read("key=a=b&partition")).toEqual(["", "a=b", null]);
    expect(read("%6bey=1")).toEqual([null, "1", null]);
    expect(() => read("p=1&p=1")).toThrow(/"p" was given twice/);
    expect(() => readQuery("q=1", 0, NAMES, true)).toThrow(/Unknown query parameter "q"/);
  });
  test("plus is a space in a query and itself in a path", () => {
    expect(decodePercent("a+b%2Bc", "x", true)).toBe("a b+c");
    expect(decodePercent("a+b%2Bc", "x", false)).toBe("a+b+c");
  });
  test("decoding gives back what was encoded", () => {
    forEachSeed(50, (random) => {
      const text = Array.from({ length: 20 }, () =>
        String.fromCodePoint(random.below(0xd7ff)),
      ).join("");
      if (text.includes("\ufffd")) return;
      expect(decodePercent(encodeURIComponent(text), "x", true)).toBe(text);
    });
  });
  test("numbers are decimal digits and nothing else", () => {
    expect(decimal("9007199254740991", "n")).toBe(Number.MAX_SAFE_INTEGER);
    for (const text of [
      "",
      "+1",
      "-1",
      "01",
      "1.0",
      "1e3",
      " 1",
      "0x1",
      "９",
      "9007199254740992",
    ]) {
      expect(() => decimal(text, "n")).toThrow(
        /must be a decimal integer from 0 to 9007199254740991/,
      );
    }
    expect(() => decimal("5", "n", 6, 7)).toThrow(/"5": it must be a decimal integer from 6 to 7/);
  });
});
