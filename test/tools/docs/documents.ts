/** The documents that users read: the README and the pages of the manual. */
import { join } from "node:path";
import { pageNames } from "../../../src/docs/contents.ts";

const ROOT = join(import.meta.dir, "../../..");
export const SETTINGS_PAGE = join(ROOT, "src/docs/settings.md");
export const ERRORS_PAGE = join(ROOT, "src/docs/errors.md");

export type Document = { readonly name: string; readonly path: string; readonly text: string };

export async function documents(): Promise<readonly Document[]> {
  const paths = [
    join(ROOT, "README.md"),
    ...pageNames().map((name) => join(ROOT, "src/docs", `${name}.md`)),
  ];
  return Promise.all(
    paths.map(async (path) => ({
      name: path.slice(ROOT.length + 1),
      path,
      text: await Bun.file(path).text(),
    })),
  );
}
