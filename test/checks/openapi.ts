/**
 * `bun run test:openapi`: the document of a real server is linted, a client is generated from it,
 * type-checked and used against that server. The tools have a folder and a lock file of their own,
 * since the generator needs another compiler than this repository; they are installed into a
 * temporary directory, from the lock file, and use no network when they run.
 */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

const directory = temporaryDirectory();
const place = join(directory.path, "program");
const tool = (name: string): string => join(place, "node_modules/.bin", name);

/** @throws Error unless it ends with 0. */
async function run(...command: string[]): Promise<void> {
  const child = Bun.spawn(command, {
    cwd: place,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  const code = await child.exited;
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}`);
}

cpSync(join(import.meta.dir, "openapi"), place, { recursive: true });
const server = await startServer({ dataDir: join(directory.path, "data") });
try {
  await Bun.write(join(place, "openapi.json"), await fetch(`${server.url}/openapi.json`));
  const bun = process.execPath;
  await run(bun, "install", "--frozen-lockfile");
  await run(bun, "lint.ts", "openapi.json");
  await run(bun, tool("openapi-typescript"), "openapi.json", "--output", "openapi.ts");
  const modules = ["--module", "preserve", "--moduleResolution", "bundler", "--target", "esnext"];
  const allowed = ["--allowImportingTsExtensions", "--skipLibCheck", "--lib", "esnext,dom"];
  const globals = [
    "--types",
    "bun",
    "--typeRoots",
    join(import.meta.dir, "../../node_modules/@types"),
  ];
  await run(
    bun,
    tool("tsc"),
    "--strict",
    "--noEmit",
    ...modules,
    ...allowed,
    ...globals,
    "client.ts",
  );
  await run(bun, "client.ts", server.url);
} finally {
  await server.kill();
  directory.remove();
}
