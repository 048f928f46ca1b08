/** Sessions of the command line that documents show: each command prints what stands below it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { documents } from "../tools/docs/documents.ts";
import {
  cleanEnvironment,
  serverCommand,
  startServer,
  temporaryDirectory,
} from "../tools/process/server.ts";

setDefaultTimeout(120_000);
type Shown = { readonly command: string; readonly output: string };

function shownIn(text: string): Shown[] {
  const sessions = [...text.matchAll(/```console\n([\s\S]*?)```/g)].map(
    ([, session = ""]) => session,
  );
  return sessions.flatMap((session) =>
    session
      .split(/^\$ /m)
      .slice(1)
      .map((lines) => {
        const [command = "", ...output] = lines.split("\n");
        return { command, output: output.join("\n") };
      }),
  );
}

/** Timestamps differ from run to run: as text, and in milliseconds. */
const timeless = (text: string): string =>
  text.replaceAll(/\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z|\b1\d{12}\b/g, "(time)");

const withSessions = (await documents()).filter(({ text }) => text.includes("```console\n"));

test("there are sessions to try", () => {
  expect(withSessions.length).toBeGreaterThan(0);
});

for (const { name, text } of withSessions) {
  test(`the session in ${name} prints what it shows`, async () => {
    const directory = temporaryDirectory();
    const server = await startServer({ dataDir: directory.path });
    try {
      const words = serverCommand().map((word) => `'${word}'`);
      const ayder = `ayder() { ${words.join(" ")} "$@"; }`;
      for (const { command, output } of shownIn(text)) {
        const shell = Bun.spawn(["bash", "-c", `${ayder}\n{ ${command}; } 2>&1`], {
          env: cleanEnvironment({ AYDER_URL: server.url }),
          stdout: "pipe",
        });
        const printed = await new Response(shell.stdout).text();
        const shown = printed.replaceAll(server.url, "http://127.0.0.1:1109");
        expect(timeless(`$ ${command}\n${shown}`)).toBe(timeless(`$ ${command}\n${output}`));
      }
    } finally {
      await server.kill();
      directory.remove();
    }
  });
}
