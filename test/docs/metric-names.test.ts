import { expect, test } from "bun:test";
import { Glob } from "bun";

const NAME = /\b(?:ayder|ramforge)_[a-z0-9_]+\b/g;

async function namesIn(pattern: string): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const path of new Glob(pattern).scan(".")) {
    for (const [name] of (await Bun.file(path).text()).matchAll(NAME)) names.add(name);
  }
  return names;
}

test("every series that the documents name exists", async () => {
  const known = await namesIn("src/metrics/**/*.ts");
  const documents = await Promise.all(["README.md", "src/docs/*.md"].map(namesIn));
  const named = documents
    .flatMap((names) => [...names])
    // `ayder_ha_*` stands for all of its names.
    .filter((name) => !name.endsWith("_"))
    .map((name) => name.replace(/_(bucket|sum|count)$/, ""));
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});
