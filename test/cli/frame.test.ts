/** Rules for every command: help, usage errors, registry. */
import { expect, test } from "bun:test";
import manifest from "../../package.json";
import { readCall, UsageError } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { ayder } from "../tools/process/ayder.ts";

const LINES_MAX = 40;
/** One line for each command, and the text around them. */
const OVERVIEW_LINES_MAX = 45;
const COLUMNS_MAX = 100;

function expectScreen(text: string, linesMax = LINES_MAX) {
  const lines = text.split("\n");
  expect(lines.length - 1).toBeLessThanOrEqual(linesMax);
  expect(lines.filter((line) => line.length > COLUMNS_MAX)).toEqual([]);
}

test("the help names every command and fits a screen", async () => {
  for (const args of [["--help"], ["-h"], ["help"]]) {
    const { code, out } = await ayder(args);
    expect(code).toBe(0);
    expectScreen(out, OVERVIEW_LINES_MAX);
    const words = out.replaceAll(/\s+/g, " ");
    for (const { name, summary } of COMMANDS) expect(words).toContain(` ${name} ${summary} `);
  }
});

for (const { name, load } of COMMANDS) {
  test(`${name} --help fits a screen and names its options and actions`, async () => {
    const { code, out } = await ayder([name, "--help"]);
    expect(code).toBe(0);
    expectScreen(out);
    const command = await load();
    expect(command.name).toBe(name);
    for (const option of Object.keys(command.options)) expect(out).toContain(`--${option}`);
    for (const action of command.actions)
      expect(out).toContain(`${action.name} ${action.operands}`.trim());
    for (const { only = [] } of Object.values(command.options)) {
      expect(command.actions.map((action) => action.name)).toEqual(
        expect.arrayContaining([...only]),
      );
    }
  });

  test(`${name} refuses an unknown option with code 2`, async () => {
    const { code, out, err } = await ayder([name, "--no-such-option"]);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toContain("--no-such-option");
    expect(err).toContain(`ayder ${name} --help`);
  });
}

test("the version is the package's", async () => {
  const line = new RegExp(
    `^ayder ${manifest.version.replaceAll(".", "\\.")}( \\([0-9a-f]{12}\\+?\\))?\n$`,
  );
  for (const args of [["--version"], ["-v"], ["version"]]) {
    expect(await ayder(args)).toEqual({ code: 0, out: expect.stringMatching(line), err: "" });
  }
});

test("an unknown command is refused with code 2", async () => {
  const { code, err } = await ayder(["frobnicate"]);
  expect(code).toBe(2);
  expect(err).toContain("unknown command: frobnicate");
});

test("a typo is answered with the nearest known name only", async () => {
  expect((await ayder(["srve"])).err).toBe(
    "ayder: unknown command: srve; did you mean serve?\nTry: ayder --help\n",
  );
  expect((await ayder(["--prot", "1"])).err).toBe(
    "ayder: unknown option --prot; did you mean --port?\nTry: ayder --help\n",
  );
  expect((await ayder(["topics", "--zzz"])).err).toBe(
    "ayder: unknown option --zzz\nTry: ayder topics --help\n",
  );
});

test("settings prints the table of settings", async () => {
  const { code, out } = await ayder(["settings"]);
  expect(code).toBe(0);
  expect(out).toContain("--port, RF_HTTP_PORT, PORT");
  expect(out).toContain("RF_HA_NODES");
});

const run = async () => 0;
const SAMPLE = {
  name: "sample",
  summary: "",
  actions: [
    { name: "list", operands: "", summary: "", run },
    { name: "put", operands: "<key> [value]", summary: "", run },
    { name: "eat", operands: "<food> [more...]", summary: "", run },
  ],
  options: {
    size: { type: "string", only: ["put"], help: "" },
    tag: { type: "string", multiple: true, help: "" },
  },
} as const;

test("operands are counted as the action declares them", () => {
  const operandsOf = (...args: string[]) => {
    const call = readCall(SAMPLE, args);
    return call.kind === "run" ? [call.action.name, ...call.args.operands] : [];
  };
  expect(operandsOf()).toEqual(["list"]);
  expect(operandsOf("put", "a")).toEqual(["put", "a"]);
  expect(operandsOf("put", "a", "b")).toEqual(["put", "a", "b"]);
  expect(operandsOf("eat", "a", "b", "c")).toEqual(["eat", "a", "b", "c"]);
  expect(() => operandsOf("put")).toThrow("sample put needs <key>");
  expect(() => operandsOf("put", "a", "b", "c")).toThrow('unexpected argument "c"');
  expect(() => operandsOf("drop")).toThrow("list, put, eat");
});

test("the default command may be named after its options, and a value may equal its name", () => {
  const operandsOf = (...args: string[]) => {
    const call = readCall(SAMPLE, args, "sample");
    return call.kind === "run" ? [call.args.texts("tag"), call.args.operands] : [];
  };
  expect(operandsOf("--tag", "a", "sample")).toEqual([["a"], []]);
  expect(operandsOf("--tag", "sample")).toEqual([["sample"], []]);
  expect(() => operandsOf("sample", "sample")).toThrow(UsageError);
});

test("an option of another action is refused, and numbers are checked", () => {
  expect(() => readCall(SAMPLE, ["list", "--size", "1"])).toThrow(UsageError);
  const call = readCall(SAMPLE, ["put", "k", "--size", "12", "--tag", "a", "--tag", "b"]);
  if (call.kind !== "run") throw new Error("not a run");
  expect(call.args.integer("size")).toBe(12);
  expect(call.args.texts("tag")).toEqual(["a", "b"]);
  expect(() => call.args.integer("size", 0, 11)).toThrow("from 0 to 11");
});
