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

describe("command lines of scripts", () => {
  /** They are called by other scripts only. */
  const INTERNAL = [
    "test/tools/client/node-runner.ts",
    "bench/load/generator.ts",
    "bench/load/nats.ts",
    "bench/load/queue-workers.ts",
  ];
  const scriptsOf = (pattern: string) => [...new Glob(pattern).scanSync(".")];

  test("are read in one place, which refuses what it does not know", async () => {
    const others: string[] = [];
    for (const file of [...scriptsOf("test/tools/**/*.ts"), ...scriptsOf("bench/**/*.ts")]) {
      const reads = /process\.argv|Bun\.argv|parseArgs/.test(await Bun.file(file).text());
      if (reads && file !== "test/tools/arguments.ts" && !INTERNAL.includes(file))
        others.push(file);
    }
    expect(others.filter((file) => file !== "test/tools/sim/sim.ts")).toEqual([]);
  });

  for (const [file, args, message] of [
    ["sim/sim.ts", ["--sed", "3"], "Unknown option '--sed'; did you mean --seed?"],
    ["sim/sim.ts", ["--seed", "3x"], 'seed: "3x" is not a number'],
    ["sim/sim.ts", ["3"], 'unexpected operand "3"'],
    [
      "sim/sim.ts",
      ["--seed", "3", "--range", "1..2"],
      "--seed, --range and --new exclude each other",
    ],
    ["sim/sim.ts", ["--only", "kil"], '--only: "kil" is not known; did you mean kill?'],
    ["cluster/run.ts", ["--second", "3"], "Unknown option '--second'; did you mean --seconds?"],
    ["cluster/run.ts", ["--scenario", "nothing"], '--scenario: "nothing" is not known'],
    ["cluster/soak.ts", ["--mins", "1"], "Unknown option '--mins'"],
    ["mutation/run.ts", ["vote-not-persistd"], "did you mean vote-not-persisted?"],
    ["golden/make.ts", ["--version", "1"], "Unknown option '--version'"],
    ["../../bench/follow.ts", ["10O0"], 'FOLLOWERS: "10O0" is not a number'],
    ["../../bench/growth.ts", ["--only", "mesages"], "did you mean messages?"],
    ["../../bench/run.ts", ["--filter", "kv"], "Unknown option '--filter'"],
    ["../../bench/run.ts", ["kv/gets"], 'no case has "kv/gets" in its name'],
  ] as const) {
    test(`${file} ${args.join(" ")}`, () => {
      const path = `test/tools/${file}`;
      const { exitCode, stderr, stdout } = Bun.spawnSync([process.execPath, path, ...args]);
      const lines = stderr.toString().split("\n");
      expect({ exitCode, out: stdout.toString() }).toEqual({ exitCode: 2, out: "" });
      expect(lines[0]).toContain(message);
      expect(lines[1]).toStartWith("usage: ");
    });
  }
});

test("variables of benchmarks are read where command lines are, and listed by --help", async () => {
  const read = /(?:env\["|\benv\.|LINE\.variable\(")([A-Z][A-Z_]+)/g;
  const unlisted: string[] = [];
  for (const file of [...new Glob("bench/*.ts").scanSync(".")]) {
    const text = await Bun.file(file).text();
    if (/Number\((process\.)?env/.test(text)) unlisted.push(`${file}: Number(env)`);
    if (!text.includes("new CommandLine(")) continue;
    const usage = /new CommandLine\(([\s\S]*?)\);\n/.exec(text)?.[1] ?? "";
    for (const [, name = ""] of text.matchAll(read))
      if (!usage.includes(`  ${name} `)) unlisted.push(`${file}: ${name}`);
    if (text.includes("benchDirectory(") && !usage.includes("  BENCH_DIR "))
      unlisted.push(`${file}: BENCH_DIR`);
  }
  expect(unlisted).toEqual([]);
});

/** Folders of `test/` that hold no tests of their own. */
const OTHERS = ["tools", "checks"];

test("what is not a test is in test/tools or test/checks, apart from suites that tests share", () => {
  const SHARED =
    /^test\/(conformance\/[a-z-]+|env\/[a-z]+-contract|client\/(group-)?scenarios)\.ts$/;
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
        ...[...text.matchAll(/(?:bun(?:@[\d.]+)?|\$BUN) run ([a-z][a-z0-9:-]*)/g)].map(
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
