/** The scripts of the package cover all tests, and the workflows and pages name what exists. */
import { describe, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { Glob } from "bun";
import { SCENARIOS } from "./tools/cluster/scenarios.ts";

const { scripts }: { scripts: Record<string, string> } = await Bun.file("package.json").json();
const TIERS = ["test:unit", "test:integration", "test:e2e"] as const;
const ALL = [...new Glob("test/**/*.test.ts").scanSync(".")].sort();

/** The files and folders that a script gives to `bun test`. */
const pathsOf = (script: string): string[] =>
  [...(scripts[script] ?? "").matchAll(/ \.\/(test\/\S+)/g)].map(([, path = ""]) => path);

const filesOf = (path: string): string[] =>
  statSync(path).isDirectory() ? ALL.filter((file) => file.startsWith(`${path}/`)) : [path];

describe("tiers of tests", () => {
  test("together are `bun run test`, and no file is in two of them", () => {
    const tiers = TIERS.flatMap((tier) => pathsOf(tier).flatMap(filesOf));
    expect(tiers.sort()).toEqual(ALL);
    expect(scripts["test"]).toEndWith("bun test --timeout 300000");
  });

  test("give each path as a path, by the same command; unit tests run two files at a time", () => {
    for (const tier of TIERS) {
      const paths = pathsOf(tier);
      const parallel = tier === "test:unit" ? "--parallel=2 " : "";
      const command = `bun test --timeout 300000 ${parallel}${paths.map((path) => `./${path}`).join(" ")}`;
      expect(scripts[tier]).toBe(command);
    }
  });

  test("have a row for each folder in the page about tests", async () => {
    const page = await Bun.file("test/README.md").text();
    for (const tier of TIERS) {
      for (const path of pathsOf(tier)) {
        expect(page).toMatch(new RegExp(`^\\| \`${path.slice(5)}\` +\\|`, "m"));
      }
    }
  });
});

test("a script that runs a file names one that exists", () => {
  const files = Object.values(scripts).flatMap((script) =>
    [...script.matchAll(/(?:^|\s)((?:src|test|bench)\/[a-z./-]+\.ts)/g)].map(
      ([, file = ""]) => file,
    ),
  );
  expect(files.length).toBeGreaterThan(10);
  expect(files.filter((file) => !existsSync(file))).toEqual([]);
});

/** Folders of `test/` that hold no tests of their own. */
const OTHERS = ["tools", "checks"];

test("what is not a test is in test/tools or test/checks, apart from suites that tests share", () => {
  const SHARED = /^test\/(conformance\/[a-z-]+|env\/[a-z]+-contract|client\/scenarios)\.ts$/;
  const strangers = [...new Glob("test/**/*.ts").scanSync(".")].filter(
    (file) =>
      !file.endsWith(".test.ts") &&
      !OTHERS.includes(file.split("/")[1] ?? "") &&
      !SHARED.test(file),
  );
  expect(strangers).toEqual([]);
});

/** Values of a matrix: `name: ["a", "b"]`. */
const matrixOf = (text: string, name: string): string[] =>
  [...text.matchAll(new RegExp(`^ +${name}: \\[(.*)\\]$`, "gm"))].flatMap(([, list = ""]) =>
    [...list.matchAll(/"([^"]+)"/g)].map(([, value = ""]) => value),
  );

describe("workflows and pages", () => {
  const workflows = [...new Glob("*.yml").scanSync(".github/workflows")].map(
    (name) => `.github/workflows/${name}`,
  );
  const pages = [".ci/run", "README.md", ".github/CONTRIBUTING.md", "test/README.md"];

  for (const file of [...workflows, ...pages]) {
    test(`${file} names scripts and files that exist`, async () => {
      const text = await Bun.file(file).text();
      const named = [
        ...[...text.matchAll(/(?:bun(?:@[\d.]+)?|\$BUN) run ([a-z][a-z0-9:]*)/g)].map(
          ([, name = ""]) => name,
        ),
        ...matrixOf(text, "script"),
      ];
      expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
      const files = [...text.matchAll(/\b(?:test|bench)\/[a-z/-]+\.ts\b/g)].map(([path]) => path);
      expect(files.filter((path) => !existsSync(path))).toEqual([]);
    });
  }

  test("the nightly workflow runs mutation tests, 2,000 new seeds and five scenarios", async () => {
    const text = await Bun.file(".github/workflows/nightly.yml").text();
    expect(matrixOf(text, "script")).toContain("test:mutation");
    expect(matrixOf(text, "script")).toContain("test:seeds");
    expect(Number(/--new (\d+)/.exec(scripts["test:seeds"] ?? "")?.[1])).toBeGreaterThanOrEqual(
      2000,
    );
    const scenarios = matrixOf(text, "scenario");
    expect(new Set(scenarios).size).toBeGreaterThanOrEqual(5);
    expect(scenarios.filter((name) => SCENARIOS[name] === undefined)).toEqual([]);
  });
});
