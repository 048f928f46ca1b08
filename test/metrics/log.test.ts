import { expect, test } from "bun:test";
import { createLogger, formatLine } from "../../src/metrics/log.ts";

test("a line has time, level, message and fields", () => {
  const fields = { shard: 0, term: 7, name: "node1", ok: true, gone: undefined, none: null };
  expect(formatLine("info", "became leader", fields, 0)).toBe(
    'ts=1970-01-01T00:00:00.000Z level=info msg="became leader" shard=0 term=7 name=node1 ok=true none=null',
  );
});
test("nothing that a client sends begins a line of its own or colours a terminal", () => {
  const hostile = 'a\r\nts=fake level=info\u001b[31m\u009b31m\u2028\u202e"x"=\\';
  const line = formatLine("warn", hostile, { topic: hostile }, 0);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
  expect(line).toContain("\\u202e");
});
test("secrets are not printed, and long values are cut", () => {
  const line = formatLine(
    "info",
    "x",
    { token: "s3cr3t", rf_bearer_tokens: "s3cr3t", authorization: "s3cr3t" },
    0,
  );
  expect(line).not.toContain("s3cr3t");
  expect(formatLine("info", "x", { value: "y".repeat(10_000) }, 0).length).toBeLessThan(700);
});
test("levels below the chosen one are silent", () => {
  const lines: string[] = [];
  const log = createLogger({ level: "warn", write: (line) => lines.push(line), now: () => 0 });
  log.debug("a");
  log.info("b");
  log.warn("c");
  log.error("d");
  expect(lines.map((line) => /msg="(\w)"/.exec(line)?.[1])).toEqual(["c", "d"]);
  expect(lines.every((line) => line.endsWith("\n"))).toBe(true);
});
