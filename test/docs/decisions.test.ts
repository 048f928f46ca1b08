/** Decisions are numbered without gaps, have the same parts, and are listed in their README. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const SOURCE = join(import.meta.dir, "../../src");
const FOLDER = join(SOURCE, "decisions");
const PARTS = ["## Context", "## Decision", "## Consequences", "## What else was considered"];
const WORDS_MAX = 260;
const names = readdirSync(FOLDER)
  .filter((name) => name !== "README.md")
  .sort();

test("decisions are numbered from 1 without gaps", () => {
  expect(names.map((name) => Number(name.slice(0, 4)))).toEqual(names.map((_, i) => i + 1));
});

test("each decision has all parts, fits on a screen, and is listed with its title", async () => {
  const list = await Bun.file(join(FOLDER, "README.md")).text();
  for (const name of names) {
    const text = await Bun.file(join(FOLDER, name)).text();
    const title = /^# \d+\. (.+)$/m.exec(text)?.[1] ?? "";
    expect([...(text.match(/^## .+$/gm) ?? [])], name).toEqual(PARTS);
    expect(text.split(/\s+/).length, name).toBeLessThanOrEqual(WORDS_MAX);
    expect(list).toContain(`(${name})`);
    expect(list).toContain(title);
  }
});

test("the architecture fits on a few screens", async () => {
  const architecture = await Bun.file(join(SOURCE, "ARCHITECTURE.md")).text();
  expect(architecture.split("\n").length).toBeLessThanOrEqual(200);
});
