/** A part that becomes one of the longest gets a row that says its one duty. */
import { expect, test } from "bun:test";
import { longest, partsOf } from "../tools/longest.ts";

const LINES_MAX = { file: 500, class: 340, function: 74 } as const;

test("each very long part has a row with its duty, and each row names a part", async () => {
  const page = await Bun.file("src/LONGEST.md").text();
  const listed = [...page.matchAll(/`([\w./]+)`(?=[^\n]*\|)/g)].map(([, name = ""]) => name);
  const parts = Object.values(await longest(Number.MAX_SAFE_INTEGER)).flat();
  const names = parts.map(({ kind, name }) => (kind === "file" ? name : name.split(" ")[0]));
  const long = parts.flatMap(({ kind, lines }, i) => (lines > LINES_MAX[kind] ? [names[i]] : []));
  expect(long.filter((name) => !listed.includes(name ?? ""))).toEqual([]);
  expect(listed.filter((name) => !names.includes(name))).toEqual([]);
});

test("lines of files, classes and functions are counted to the end of their blocks", () => {
  const source = `export class Log {
  readonly #turn = (): void => {
    this.run();
  };
  async read(
    at: number,
  ): Promise<void> {
    if (at > 0) {
      return;
    }
  }
}
export const close = async (log: Log) => {
  await log.close();
};
`;
  expect(partsOf("log.ts", source)).toEqual([
    { kind: "file", name: "log.ts", lines: 15 },
    { kind: "class", name: "Log in log.ts", lines: 12 },
    { kind: "function", name: "#turn in log.ts", lines: 3 },
    { kind: "function", name: "read in log.ts", lines: 7 },
    { kind: "function", name: "close in log.ts", lines: 3 },
  ]);
});
