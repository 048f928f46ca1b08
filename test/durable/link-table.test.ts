// Goal: the table of a subscription's streams is a map from paths to links, whatever form a link has in it.
// Method: random changes of a table and of copies of it, and of maps.
import { expect, test } from "bun:test";
import { tokenOf, ZERO_TOKEN } from "../../src/durable/offset-token.ts";
import { type Link, LinkTable } from "../../src/durable/subscriptions/link-table.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

type Model = Map<string, Link>;

const POSITIONS = [
  "-1",
  ZERO_TOKEN,
  tokenOf(7, 0),
  tokenOf(7, 12),
  "7_12",
  // The largest that fit into a number, and the first that do not.
  tokenOf(2 ** 28 - 1, 2 ** 23 - 1),
  tokenOf(2 ** 28, 1),
  tokenOf(1, 2 ** 23),
  tokenOf(9_007_199_254_740, 9_007_199_254_740),
];

const linkOf = (random: Random): Link => ({
  byName: random.below(3) === 0,
  byPattern: random.below(2) === 0,
  acked: random.pick(POSITIONS),
});

function contentOf(table: LinkTable): [string, Link][] {
  return [...table].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The positions as texts, in the order of the paths. */
function visited(table: LinkTable): [string, string][] {
  const found: [string, string][] = [];
  for (let bucket = 0; bucket < table.buckets; bucket++) {
    table.visit(bucket, (path, at) => {
      found.push([path, "acked" in at ? at.acked : tokenOf(at.streamId, at.offset)]);
    });
  }
  return found.sort(([a], [b]) => (a < b ? -1 : 1));
}

const sorted = (model: Model): [string, Link][] => [...model].sort(([a], [b]) => (a < b ? -1 : 1));

const namesOf = (model: Model): string[] =>
  [...model].flatMap(([path, { byName }]) => (byName ? [path] : [])).sort();

test("a table and its copies are maps of their own", () => {
  forEachSeed(20, (random) => {
    const first = new LinkTable();
    first.reserve(random.below(3) * random.below(3_000));
    const pairs: { table: LinkTable; model: Model }[] = [{ table: first, model: new Map() }];
    for (let step = 0; step < 4_000; step++) {
      const { table, model } = random.pick(pairs);
      const path = `s/${random.below(2_000)}`;
      if (random.below(5) === 0) {
        table.delete(path);
        model.delete(path);
      } else {
        const link = linkOf(random);
        table.set(path, link);
        model.set(path, link);
      }
      expect(table.get(path)).toEqual(model.get(path));
      expect(table.has(path)).toBe(model.has(path));
      if (random.below(800) === 0) pairs.push({ table: table.copy(), model: new Map(model) });
    }
    for (const { table, model } of pairs) {
      expect(table.size).toBe(model.size);
      expect(contentOf(table)).toEqual(sorted(model));
      expect(visited(table)).toEqual(sorted(model).map(([path, { acked }]) => [path, acked]));
      expect([...table.names].sort()).toEqual(namesOf(model));
    }
  });
});

test("an offset is set as its token would be", () => {
  const table = new LinkTable();
  for (const streamId of [1, 2 ** 28 - 1, 2 ** 28]) {
    for (const offset of [0, 5, 2 ** 23 - 1, 2 ** 23]) {
      table.setAt("a", { byName: false, byPattern: true }, { streamId, offset });
      const acked = tokenOf(streamId, offset);
      expect(table.get("a")).toEqual({ byName: false, byPattern: true, acked });
    }
  }
});

test("a few links are listed in the order in which they were added", () => {
  const table = new LinkTable();
  const link = { byName: true, byPattern: false, acked: "-1" };
  for (const path of ["b", "a", "c"]) table.set(path, link);
  expect([...table].map(([path]) => path)).toEqual(["b", "a", "c"]);
});
