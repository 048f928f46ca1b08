/** The README keeps its word: its settings are the program's, its routes exist, its tour runs. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { settingsTable } from "../src/cli/settings-text.ts";
import { startServer, temporaryDirectory } from "./process/server.ts";

setDefaultTimeout(60_000);
const PATH = join(import.meta.dir, "../README.md");
const SETTINGS = /<!-- settings -->\n[\s\S]*?<!-- \/settings -->/;
const readme = await Bun.file(PATH).text();

test("the table of settings is the program's (UPDATE=1 rewrites it)", async () => {
  const table = `<!-- settings -->\n\n${settingsTable()}\n<!-- /settings -->`;
  if (process.env["UPDATE"] === "1")
    await Bun.write(
      PATH,
      readme.replace(SETTINGS, () => table),
    );
  else expect(SETTINGS.exec(readme)?.[0]).toBe(table);
});

/** What differs from run to run; everything else is compared as printed. */
const VARIES = new Set(["timestamp_ms", "batch_id", "left_ts_ms", "right_ts_ms", "watermark_ms"]);

function same(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(same);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, VARIES.has(key) ? typeof item : same(item)]),
  );
}

/** Every ```sh block, with the ```json block that follows it. */
function examples(): { command: string; output: string | null }[] {
  return [...readme.matchAll(/```sh\n([\s\S]*?)```(?:\n```json\n([\s\S]*?)```)?/g)].map(
    ([, command = "", output]) => ({ command, output: output ?? null }),
  );
}

test("the commands of the README print what it shows", async () => {
  const directory = temporaryDirectory();
  const server = await startServer({ dataDir: directory.path });
  try {
    const shown = examples();
    expect(shown.length).toBeGreaterThan(12);
    // One shell for all, since the tour defines a name for itself.
    const script = shown
      .map(({ command }) => `${patience(command)}${command.trim()}\necho; echo "<<<>>>"`)
      .join("\n");
    const shell = Bun.spawn(
      [
        "bash",
        "-O",
        "expand_aliases",
        "-c",
        script.replaceAll("http://localhost:1109", server.url),
      ],
      { stdout: "pipe", stderr: "inherit" },
    );
    const printed = (await new Response(shell.stdout).text()).split("<<<>>>").slice(0, -1);
    expect(printed.length).toBe(shown.length);
    for (const [i, { command, output }] of shown.entries()) {
      if (output === null) continue;
      expect(same(JSON.parse(printed[i] ?? "")), command).toEqual(same(JSON.parse(output)));
    }
  } finally {
    await server.kill();
    directory.remove();
  }
});

/** A view follows the log in the background: a reader who types is slower than that. */
const patience = (command: string): string =>
  /^api \S*\/broker\/views\/\w+$/.test(command.trim()) ? "sleep 2\n" : "";

test("every route of the server is in the README, and none that is not", async () => {
  const directory = temporaryDirectory();
  const server = await startServer({ dataDir: directory.path });
  try {
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const served = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${generic(path)}`),
    );
    const named = [...readme.matchAll(/`(GET|POST|PUT|DELETE) (\/[^`\s?]*)`/g)].map(
      ([, method, path = ""]) => `${method} ${generic(path)}`,
    );
    expect([...new Set(named)].sort()).toEqual([...new Set(served)].sort());
  } finally {
    await server.kill();
    directory.remove();
  }
});

/** Parameters by any name. */
const generic = (path: string): string => path.replaceAll(/\{[^}]*\}/g, "{}");
