/**
 * Goal: the table of faults is complete, each fault changes the product, and a build has none.
 * Method: the sources are transpiled and bundled with and without the features.
 */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { BUILD, ROOT } from "../../src/release/compile.ts";
import { type FaultPoint, FOUND_BY } from "../tools/mutation/faults.ts";

const CALL = /\bfaultPoint\(\s*"([^"]+)",?\s*\)/g;
const NAMES = Object.keys(FOUND_BY) as FaultPoint[];

/** The files that have a fault point, by the name of the point. */
const sites = new Map<string, string[]>();
for (const file of [...new Glob("src/**/*.ts").scanSync(ROOT)].sort()) {
  if (file.endsWith(".d.ts")) continue;
  const source = await Bun.file(join(ROOT, file)).text();
  for (const [, name = ""] of source.matchAll(CALL)) {
    sites.set(name, [...new Set([...(sites.get(name) ?? []), file])]);
  }
}

/** The program as it is built, or with faults. The names of source files are no part of it. */
async function bundle(features: readonly string[]): Promise<string> {
  const built = await Bun.build({
    ...BUILD,
    define: { AYDER_COMMIT: '"test"' },
    target: "bun",
    features: [...features],
  });
  return (await built.outputs[0]?.text()) ?? "";
}

/** One file as it is loaded with this feature, without what it imports. */
async function compiled(file: string, features: readonly string[]): Promise<string> {
  const built = await Bun.build({
    ...BUILD,
    entrypoints: [join(ROOT, file)],
    external: ["*"],
    target: "bun",
    features: [...features],
  });
  return (await built.outputs[0]?.text()) ?? "";
}

test("each name of the table is a fault point of the code, and the other way round", () => {
  expect([...sites.keys()].sort()).toEqual([...NAMES].sort());
});

test("what finds a fault exists", () => {
  const places = [...new Set(Object.values(FOUND_BY))].filter((by) => by !== "seeds");
  expect(places.filter((place) => !existsSync(join(ROOT, place)))).toEqual([]);
});

for (const [name, files] of sites) {
  test(`${name} changes the product where it is switched on, and only there`, async () => {
    for (const file of files) {
      const [with_, without] = await Promise.all([compiled(file, [name]), compiled(file, [])]);
      expect(with_).not.toBe(without);
      expect(without).not.toContain("faultPoint");
      expect(without).not.toContain("bun:bundle");
    }
  });
}

test("a build contains no fault point, and nothing that only faults use", async () => {
  const [release, faulty] = await Promise.all([bundle([]), bundle(NAMES)]);
  expect(release.length).toBeGreaterThan(100_000);
  const traces = [...NAMES, "faultPoint", "bun:bundle", "duplicateAtPropose", "incomingOnly"];
  expect(traces.filter((trace) => release.includes(trace))).toEqual([]);
  // The same search finds what a build with faults has.
  expect(faulty).toContain("duplicateAtPropose");
  expect(faulty).not.toBe(release);
});
