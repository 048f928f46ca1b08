/** Paths and the patterns that they fit, as Elysia understands them. */
import { expect, test } from "bun:test";
import { PathPattern } from "../../src/http/path-pattern.ts";

const CASES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["/health", ["/health"], ["/health/", "/healthy", "/", "/heal"]],
  [
    "/broker/topics/:topic/produce",
    ["/broker/topics/a/produce", "/broker/topics/%2F/produce"],
    [
      "/broker/topics//produce",
      "/broker/topics/a/b/produce",
      "/broker/topics/a/produce/",
      "/broker/topics/a/produce-ndjson",
      "/broker/topics/produce",
    ],
  ],
  ["/broker/topics/:topic", ["/broker/topics/a"], ["/broker/topics/", "/broker/topics/a/"]],
  [
    "/broker/consume/:topic/:group/:partition",
    ["/broker/consume/t/g/0"],
    ["/broker/consume/t/g", "/broker/consume/t//0", "/broker/consume/t/g/0/1"],
  ],
  ["/kv/:namespace/*", ["/kv/n/a", "/kv/n/a/b", "/kv/n/a//"], ["/kv/n", "/kv//a", "/kw/n/a"]],
];

for (const [path, fitting, others] of CASES) {
  test(path, () => {
    const pattern = new PathPattern(path);
    const matches = (given: string) => {
      const url = `http://h${given}?x=/1`;
      return pattern.matches(url, 8, 8 + given.length);
    };
    expect(fitting.filter(matches)).toEqual([...fitting]);
    expect(others.filter(matches)).toEqual([]);
  });
}
