/** Every `sh` block of the documents runs, and prints the `json` block that follows it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { documents } from "../tools/docs/documents.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);

type Example = { readonly command: string; readonly output: string | null };

/** Fields that differ from run to run. Only their type is compared. */
const VARIES = new Set([
  "timestamp_ms",
  "batch_id",
  "left_ts_ms",
  "right_ts_ms",
  "watermark_ms",
  "visible_at_ms",
  "deliver_at_ms",
  "oldest_age_ms",
  "dead-at-ms",
  "lease_until_ms",
  "secret",
]);

function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      VARIES.has(key) ? typeof item : comparable(item),
    ]),
  );
}

const examplesIn = (text: string): Example[] =>
  [...text.matchAll(/```sh\n([\s\S]*?)```(?:\n```json\n([\s\S]*?)```)?/g)].map(
    ([, command = "", output]) => ({ command, output: output ?? null }),
  );

const ALIAS = `alias api='curl -sSw "\\n" -H "Authorization: Bearer dev"'`;
const END = "<<<>>>";

/** A view follows the log in the background; a reader who types is slower than that. */
const pauseBefore = (command: string): string =>
  /^api \S*\/broker\/views\/\w+$/.test(command.trim()) ? "sleep 2\n" : "";

const pages = (await documents()).filter(({ text }) => examplesIn(text).length > 0);

test("the documents have examples", () => {
  expect(pages.flatMap(({ text }) => examplesIn(text)).length).toBeGreaterThan(30);
});

for (const { name, text } of pages) {
  test(`the commands in ${name} print what it shows`, async () => {
    const directory = temporaryDirectory();
    const server = await startServer({ dataDir: directory.path });
    try {
      const shown = examplesIn(text);
      // One shell for all, because a page may define names for the commands that follow.
      const script = [
        ALIAS,
        ...shown.map(
          ({ command }) => `${pauseBefore(command)}${command.trim()}\necho; echo "${END}"`,
        ),
      ].join("\n");
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
      const printed = (await new Response(shell.stdout).text()).split(END).slice(0, -1);
      expect(printed.length).toBe(shown.length);
      for (const [i, { command, output }] of shown.entries()) {
        if (output === null) continue;
        expect(comparable(JSON.parse(printed[i] ?? "")), command).toEqual(
          comparable(JSON.parse(output)),
        );
      }
    } finally {
      await server.kill();
      directory.remove();
    }
  });
}
