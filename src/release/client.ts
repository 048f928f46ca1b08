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
await writeTypes();
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

/**
 * Writes the declarations that `index.d.ts` reaches. Only the compiler can make them. The types of
 * the API are not among them, because they need TypeBox: no public signature may mention one.
 *
 * @throws Error if a declaration imports a file outside of the client.
 */
async function writeTypes(): Promise<void> {
  const all = join(folder, "types");
  await Bun.$`${join(ROOT, "node_modules/.bin/tsc")} -p ${join(ROOT, "src/client")} --outDir ${all}`;
  const reached = new Set(["./index.ts"]);
  for (const path of reached) {
    const name = path.replace(/\.ts$/, ".d.ts");
    const text = await Bun.file(join(all, "client", name)).text();
    for (const [, imported = ""] of text.matchAll(/(?:from |import\()"(\.[^"]*)"/g)) {
      if (!imported.startsWith("./")) throw new Error(`${name} needs the types of ${imported}`);
      reached.add(imported);
    }
    await Bun.write(join(folder, name), text);
  }
  await rm(all, { recursive: true });
}
