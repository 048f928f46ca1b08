/** The client in a real Chromium, in a page from the server's own origin. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type Browser, hasChromium, openBrowser } from "../tools/console/chromium.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { SCENARIOS } from "./scenarios.ts";

const TIMEOUT_MS = 120_000;
/** A browser opens six connections to a server, and each member of a group waits on one of them. */
const NEEDS_MORE_CONNECTIONS = ["a rolling restart of members with names moves no partition"];
const present = hasChromium();
const directory = temporaryDirectory();
let server: Server | undefined;
let browser: Browser | undefined;

beforeAll(async () => {
  if (!present) return;
  server = await startServer({ dataDir: join(directory.path, "data") });
  const built = await Bun.build({
    entrypoints: [join(import.meta.dir, "../tools/client/browser-runner.ts")],
    target: "browser",
  });
  const script = await built.outputs[0]?.text();
  browser = await openBrowser(server.url);
  // This page has no content security policy; the policy of the console allows only its own script.
  await browser.page.goto(`${server.url}/health`);
  await browser.page.addScriptTag({ type: "module", content: script ?? "" });
  // An inline module is executed after the page has loaded.
  await browser.page.waitForFunction(() => typeof globalThis.runScenario === "function");
}, TIMEOUT_MS);
afterAll(async () => {
  await browser?.close();
  await server?.kill();
  directory.remove();
});

const titles = Object.keys(SCENARIOS).filter((title) => !NEEDS_MORE_CONNECTIONS.includes(title));
for (const title of titles) {
  test.skipIf(!present)(
    title,
    async () => {
      const url = server?.url ?? "";
      const run = (args: [string, string]) =>
        globalThis.runScenario(...args).then(
          () => "ok",
          (error) => String(error?.stack ?? error),
        );
      expect(await browser?.page.evaluate(run, [title, url] as [string, string])).toBe("ok");
    },
    TIMEOUT_MS,
  );
}
