/** Preloaded by the zoo: exchanges pieces of source files while they are loaded. */
import { type Edit, MUTANTS } from "./mutants.ts";

const mutant = MUTANTS.find(({ name }) => name === process.env["MUTANT"]);
if (mutant === undefined) throw new Error(`no mutant ${process.env["MUTANT"]}`);
const { name, and = [] } = mutant;

const files = new Map<string, Edit[]>();
for (const edit of [mutant, ...and]) files.set(edit.file, [...(files.get(edit.file) ?? []), edit]);

Bun.plugin({
  name,
  setup(build) {
    for (const [file, edits] of files) {
      const path = new URL(`../../../${file}`, import.meta.url).pathname;
      build.onLoad({ filter: new RegExp(`${file.replaceAll(".", "\\.")}$`) }, async (loaded) => {
        let contents = await Bun.file(loaded.path).text();
        if (loaded.path !== path) return { contents, loader: "ts" };
        for (const { find, put } of edits) {
          if (contents.split(find).length !== 2) throw new Error(`${name} does not fit ${file}`);
          contents = contents.replace(find, () => put);
        }
        return { contents, loader: "ts" };
      });
    }
  },
});
