/**
 * `bun run build:client [FOLDER]` builds the TypeScript client as a separate npm package, without
 * the dependencies of the server: one module for every runtime, and its types.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { PROGRAM, ROOT, VERSION } from "./compile.ts";

const [folder = join(ROOT, "dist/client")] = Bun.argv.slice(2);

await rm(folder, { recursive: true, force: true });
await Bun.build({
  entrypoints: [join(ROOT, "src/client/index.ts")],
  target: "browser",
  format: "esm",
  outdir: folder,
});
// Only the compiler can write the types.
await Bun.$`${join(ROOT, "node_modules/.bin/tsc")} -p ${join(ROOT, "src/client")} --outDir ${folder}`;
const entry = { types: "./index.d.ts", default: "./index.js" };
await Bun.write(
  join(folder, "package.json"),
  `${JSON.stringify(
    {
      name: PROGRAM,
      version: VERSION,
      description: "Client of Ayder, a durable event log over HTTP",
      license: "MIT",
      type: "module",
      exports: { "./client": entry, "./package.json": "./package.json" },
      sideEffects: false,
    },
    null,
    2,
  )}\n`,
);
await Bun.write(join(folder, "LICENSE"), Bun.file(join(ROOT, "LICENSE")));
process.stdout.write(`${folder}\n`);
