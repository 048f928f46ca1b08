import { expect, test } from "bun:test";
import { editDistance, nearest } from "../../src/lib/nearest.ts";

test("each letter that is added, dropped, replaced or swapped counts one", () => {
  for (const [a, b, distance] of [
    ["", "", 0],
    ["", "abc", 3],
    ["abc", "abc", 0],
    ["abc", "abdc", 1],
    ["abc", "ab", 1],
    ["abc", "axc", 1],
    ["abcd", "abdc", 1],
    ["kitten", "sitting", 3],
  ] as const) {
    expect([a, b, editDistance(a, b)]).toEqual([a, b, distance]);
    expect([b, a, editDistance(b, a)]).toEqual([b, a, distance]);
  }
});

test("the nearest is found if it is near", () => {
  const words = ["produce", "consume", "groups"];
  expect(nearest("porduce", words)).toBe("produce");
  expect(nearest("cosume", words)).toBe("consume");
  expect(nearest("group", words)).toBe("groups");
  expect(nearest("backup", words)).toBeNull();
  expect(nearest("x", [])).toBeNull();
});
