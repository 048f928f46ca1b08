/** The example of the manual: three workers, one of which is killed. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { cleanEnvironment } from "../tools/process/server.ts";

test("nothing is lost when a worker is killed, and at most its last page is worked twice", async () => {
  const example = join(import.meta.dir, "../tools/examples/workers.ts");
  const child = Bun.spawn([process.execPath, example], {
    env: cleanEnvironment(),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect([await child.exited, err]).toEqual([0, ""]);
  const lines = out.trim().split("\n");
  const [, twice = "-1"] = /^120 orders: 120 worked, (\d+) of them twice, none lost$/.exec(
    lines.at(-1) ?? "",
  ) as RegExpExecArray;
  // A page has at most five messages.
  expect(Number(twice)).toBeGreaterThanOrEqual(0);
  expect(Number(twice)).toBeLessThanOrEqual(5);
  for (const worker of ["worker-1", "worker-3"]) {
    expect(lines.some((line) => line.includes(worker) && line.includes("got"))).toBe(true);
  }
});
