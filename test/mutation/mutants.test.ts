/** A mutation that no longer fits the source proves nothing, and only shows when it is run. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { MUTANTS } from "../tools/mutation/mutants.ts";

const ROOT = new URL("../../", import.meta.url);

test("every mutation has a name of its own and fits exactly one place", () => {
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  const misfits = MUTANTS.flatMap((mutant) =>
    [mutant, ...(mutant.and ?? [])]
      .filter(({ file, find }) => {
        const source = readFileSync(new URL(file, ROOT), "utf8");
        return source.split(find).length !== 2;
      })
      .map(({ file }) => `${mutant.name} in ${file}`),
  );
  expect(misfits).toEqual([]);
});
