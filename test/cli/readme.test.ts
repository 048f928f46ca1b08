/** The session that the README shows is one: each command prints what stands below it. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import {
  cleanEnvironment,
  serverCommand,
  startServer,
  temporaryDirectory,
} from "../process/server.ts";

type Shown = { readonly command: string; readonly output: string };

async function shown(): Promise<Shown[]> {
  const readme = await Bun.file(join(import.meta.dir, "../../README.md")).text();
  const sessions = [...readme.matchAll(/```console\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
  return sessions.flatMap((session) =>
    session
      .split(/^\$ /m)
      .slice(1)
      .map((text) => {
        const [command = "", ...lines] = text.split("\n");
        return { command, output: lines.join("\n") };
      }),
  );
}

test("the README's session prints what it shows", async () => {
  const directory = temporaryDirectory();
  const server = await startServer({ dataDir: directory.path });
  try {
    const words = serverCommand().map((word) => `'${word}'`);
    const ayder = `ayder() { ${words.join(" ")} "$@"; }`;
    const commands = await shown();
    expect(commands.length).toBeGreaterThan(7);
    for (const { command, output } of commands) {
      const shell = Bun.spawn(["bash", "-c", `${ayder}\n{ ${command}; } 2>&1`], {
        env: cleanEnvironment({ AYDER_URL: server.url }),
        stdout: "pipe",
      });
      expect(`$ ${command}\n${await new Response(shell.stdout).text()}`).toBe(
        `$ ${command}\n${output}`,
      );
    }
  } finally {
    await server.kill();
    directory.remove();
  }
});
