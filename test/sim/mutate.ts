/** Preloaded by the zoo: exchanges pieces of source files while they are loaded. */
import { MUTANTS } from "./mutants.ts";

const mutant = MUTANTS.find(({ name }) => name === process.env["MUTANT"]);
if (mutant === undefined) throw new Error(`no mutant ${process.env["MUTANT"]}`);
const { name, and = [] } = mutant;

Bun.plugin({
  name,
  setup(build) {
    for (const { file, find, put } of [mutant, ...and]) {
      const path = new URL(`../../${file}`, import.meta.url).pathname;
      build.onLoad({ filter: new RegExp(`${file.replaceAll(".", "\\.")}$`) }, async (loaded) => {
        const source = await Bun.file(loaded.path).text();
        if (loaded.path !== path) return { contents: source, loader: "ts" };
        if (source.split(find).length !== 2) throw new Error(`${name} does not fit ${file}`);
        return { contents: source.replace(find, () => put), loader: "ts" };
      });
    }
  },
});
