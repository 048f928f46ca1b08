/** The client against a real server in its own process, in Bun and in Node. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { createClient } from "../../src/client/index.ts";
import { testServer } from "../tools/process/test-server.ts";
import { SCENARIOS } from "./scenarios.ts";

const { directory, server } = testServer();

/** Derives the names of topics and namespaces from the title of a scenario. */
const nameOf = (title: string, runtime: string): string =>
  `${runtime}-${title.replaceAll(/[^a-z]+/g, "-")}`;

for (const [title, run] of Object.entries(SCENARIOS)) {
  test(title, async () => {
    const url = server.url;
    await run(createClient({ url, token: "dev" }), nameOf(title, "bun"), url);
  });
}

test("all scenarios pass in Node", async () => {
  const outdir = join(directory.path, "node");
  const built = await Bun.build({
    entrypoints: [join(import.meta.dir, "../tools/client/node-runner.ts")],
    target: "node",
    outdir,
  });
  expect(built.success).toBe(true);
  const runner = join(outdir, "node-runner.js");
  const child = Bun.spawn(["node", runner, server.url], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  expect(err).toBe("");
  expect(out.trim().split("\n")).toEqual([
    expect.stringMatching(/^node v\d/),
    ...Object.keys(SCENARIOS).map((title) => `ok ${title}`),
  ]);
  expect(await child.exited).toBe(0);
}, 300_000);
