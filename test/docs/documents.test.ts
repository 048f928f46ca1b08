/** The documents are true: settings, routes and error codes are the program's, and links lead somewhere. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { settingsTable } from "../../src/cli/settings-text.ts";
import { headingId } from "../../src/docs/render.ts";
import { HTTP_ERRORS } from "../../src/http/errors.ts";
import { documents, ERRORS_PAGE, SETTINGS_PAGE } from "../tools/docs/documents.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const all = await documents();

/** Compares a generated part of a page, or rewrites it with UPDATE=1. */
async function generated(path: string, name: string, content: string): Promise<void> {
  const text = await Bun.file(path).text();
  const part = new RegExp(`<!-- ${name} -->\\n[\\s\\S]*?<!-- /${name} -->`);
  const wanted = `<!-- ${name} -->\n\n${content.trim()}\n\n<!-- /${name} -->`;
  if (process.env["UPDATE"] === "1")
    await Bun.write(
      path,
      text.replace(part, () => wanted),
    );
  else expect(part.exec(text)?.[0]).toBe(wanted);
}

test("the table of settings is the program's (UPDATE=1 rewrites it)", async () => {
  await generated(SETTINGS_PAGE, "settings", settingsTable());
});

test("the table of error codes is the program's (UPDATE=1 rewrites it)", async () => {
  const rows = Object.entries(HTTP_ERRORS)
    .sort(([, a], [, b]) => a.status - b.status)
    .map(([code, { status, message }]) => `| ${status} | \`${code}\` | ${message} |`);
  const table = ["| status | code | message |", "|---|---|---|", ...rows].join("\n");
  await generated(ERRORS_PAGE, "error codes", table);
});

test("every route of the server is in the manual, and none that does not exist", async () => {
  const directory = temporaryDirectory();
  const server = await startServer({ dataDir: directory.path });
  try {
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const served = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${withoutNames(path)}`),
    );
    const page = all.find(({ name }) => name === "src/docs/http.md")?.text ?? "";
    const named = routesIn(page);
    expect([...new Set(named)].sort()).toEqual([...new Set(served)].sort());
    const elsewhere = all.flatMap(({ text }) => routesIn(text));
    expect(elsewhere.filter((route) => !served.includes(route))).toEqual([]);
  } finally {
    await server.kill();
    directory.remove();
  }
});

const routesIn = (text: string): string[] =>
  [...text.matchAll(/`(GET|POST|PUT|DELETE) (\/[^`\s?]*)[^`]*`/g)].map(
    ([, method, path = ""]) => `${method} ${withoutNames(path)}`,
  );
/** A parameter is the same route by any name. */
const withoutNames = (path: string): string => path.replaceAll(/\{[^}]*\}/g, "{}");

const headings = (text: string): string[] =>
  [...text.replaceAll(/```[\s\S]*?```/g, "").matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    headingId(heading.replaceAll("`", "")),
  );

const linksIn = (text: string): string[] =>
  [...text.replaceAll(/```[\s\S]*?```/g, "").matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, href = ""]) => href)
    .filter((href) => !/^https?:/.test(href));

/** True if the link leads to a file that exists and, in a document, to one of its headings. */
function leadsSomewhere(from: string, href: string): boolean {
  const [file = "", fragment] = href.split("#");
  const target = file === "" ? from : join(dirname(from), file);
  const page = all.find(({ path }) => path === target);
  if (page === undefined) return existsSync(target);
  return fragment === undefined || headings(page.text).includes(fragment);
}

test("links between documents lead to files and headings that exist", () => {
  const broken = all.flatMap(({ name, path, text }) =>
    linksIn(text)
      .filter((href) => !leadsSomewhere(path, href))
      .map((href) => `${name}: ${href}`),
  );
  expect(broken).toEqual([]);
});

test("headings of a page have different ids", () => {
  for (const { name, text } of all) {
    const ids = headings(text);
    expect(
      ids.filter((id, at) => ids.indexOf(id) !== at),
      name,
    ).toEqual([]);
  }
});

test("the README fits on a few screens", () => {
  const readme = all.find(({ name }) => name === "README.md")?.text ?? "";
  expect(readme.split("\n").length).toBeLessThanOrEqual(250);
});
