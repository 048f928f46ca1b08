/** Preloaded by the zoo: exchanges a piece of one source file while it is loaded. */
import { MUTANTS } from "./mutants.ts";

const mutant = MUTANTS.find(({ name }) => name === process.env["MUTANT"]);
if (mutant === undefined) throw new Error(`no mutant ${process.env["MUTANT"]}`);
const { file, find, put } = mutant;
const path = new URL(`../../${file}`, import.meta.url).pathname;

Bun.plugin({
  name: mutant.name,
  setup(build) {
    build.onLoad({ filter: new RegExp(`${file.replaceAll(".", "\\.")}$`) }, async (loaded) => {
      const source = await Bun.file(loaded.path).text();
      if (loaded.path !== path) return { contents: source, loader: "ts" };
      if (source.split(find).length !== 2) throw new Error(`${mutant.name} does not fit ${file}`);
      return { contents: source.replace(find, () => put), loader: "ts" };
    });
  },
});
