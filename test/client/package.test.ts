/** The package as users get it: built, packed, installed, type-checked, run. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { testServer } from "../tools/process/test-server.ts";

const root = join(import.meta.dir, "../..");
const { directory, server } = testServer();
const project = join(directory.path, "project");

/** @throws Error with the output of the process, unless it ends with 0. */
async function run(cwd: string, ...command: string[]): Promise<string> {
  const child = Bun.spawn(command, { cwd, stdout: "pipe", stderr: "pipe", stdin: "ignore" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}:\n${out}\n${err}`);
  return out;
}

/** The other examples of the page go on with the client of the first one. */
const PRELUDE = `import { createClient } from "ayder/client";
const ayder = createClient({ url: "http://localhost:1109" });
declare function bill(order: unknown): Promise<void>;
`;

const PRINTED = [
  "stored at 0",
  '0 0 user-7 {"user":7,"cents":1250}',
  "0 1 null one",
  "0 2 null two",
  "0 3 null three",
  "dark blue",
];

test("the program of the manual runs in Node and in Bun, and its types are right", async () => {
  const built = join(directory.path, "package");
  await run(root, process.execPath, "src/release/client.ts", built);
  await run(built, "npm", "pack", "--silent", "--pack-destination", directory.path);
  const { version } = (await Bun.file(join(built, "package.json")).json()) as { version: string };
  await Bun.write(join(project, "package.json"), '{"type":"module","private":true}');
  const pack = join(directory.path, `ayder-${version}.tgz`);
  await run(project, "npm", "install", "--offline", "--no-audit", "--no-fund", pack);

  const page = await Bun.file(join(root, "src/docs/client.md")).text();
  const [program = "", ...parts] = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(
    ([, code = ""]) => code,
  );
  const source = program.replace("http://localhost:1109", server.url);
  await Bun.write(join(project, "main.ts"), source);
  await Bun.write(join(project, "parts.ts"), `${PRELUDE}${parts.join("")}`);
  const types = ["--types", "bun", "--typeRoots", join(root, "node_modules/@types")];
  const strict = ["--strict", "--exactOptionalPropertyTypes", "--noEmit", "--target", "es2022"];
  const modules = ["--module", "nodenext", "--moduleResolution", "nodenext", "--skipLibCheck"];
  await run(
    project,
    join(root, "node_modules/.bin/tsc"),
    ...strict,
    ...modules,
    ...types,
    "main.ts",
    "parts.ts",
  );

  // The program contains no type annotations, so Node 20 runs it as JavaScript.
  await Bun.write(join(project, "main.js"), source);
  expect((await run(project, "node", "main.js")).trim().split("\n")).toEqual(PRINTED);
  await Bun.write(
    join(project, "main.ts"),
    source.replaceAll(/"payments"|"settings"/g, (name) => name.replace('"', '"in-bun-')),
  );
  const inBun = await run(project, process.execPath, "main.ts");
  expect(inBun.trim().split("\n")).toEqual(PRINTED);
}, 300_000);
