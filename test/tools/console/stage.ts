/** A server and a browser for the tests of one file, and common steps. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import type { Locator, Page } from "playwright-core";
import { type Server, startServer, temporaryDirectory } from "../process/server.ts";
import { type Browser, hasChromium, type Look, openBrowser, signIn } from "./chromium.ts";
import { Api, seed } from "./seed.ts";

/** Long enough for a busy machine; no test measures time. */
export const PATIENCE_MS = 120_000;

export type Stage = {
  readonly page: Page;
  readonly url: string;
  readonly api: Api;
  readonly browser: Browser;
};

/** Registers `tests` if there is a Chromium; `stage()` is available inside a test. */
export function onStage(name: string, look: Look, tests: (stage: () => Stage) => void): void {
  if (!hasChromium()) return;
  describe(name, () => {
    const directory = temporaryDirectory();
    let server: Server | undefined;
    let stage: Stage | undefined;
    beforeAll(async () => {
      server = await startServer({ dataDir: directory.path });
      const { url } = server;
      await seed(url);
      const browser = await openBrowser(url, look);
      stage = { page: browser.page, url, api: new Api(url), browser };
      await signIn(browser.page, url);
    }, PATIENCE_MS);
    afterAll(async () => {
      await stage?.browser.close();
      await server?.stop();
      directory.remove();
    }, PATIENCE_MS);
    tests(() => {
      if (stage === undefined) throw new Error("the stage is not there");
      return stage;
    });
  });
}

/** Opens the console again; the tab stays signed in. */
export async function show({ page, url, browser }: Stage, hash: string): Promise<void> {
  await browser.leave();
  await page.goto(`${url}/ui${hash}`);
}

export const field = (place: Page | Locator, label: string): Locator =>
  place.getByLabel(label, { exact: true });

export const click = (place: Page | Locator, name: string | RegExp): Promise<void> =>
  place.getByRole("button", { name, exact: typeof name === "string" }).click();

/** The row of a table that contains the text. */
export const rowWith = (page: Page, text: string | RegExp): Locator =>
  page.getByRole("row").filter({ hasText: text });

/** Returns the line that "Copy as curl" puts into the clipboard. */
export async function copiedLine(page: Page, place: Page | Locator = page): Promise<string> {
  await page.evaluate("navigator.clipboard.writeText('')");
  await place.getByRole("button", { name: "Copy as curl" }).last().click();
  await page.waitForFunction("navigator.clipboard.readText().then((text) => text !== '')");
  return await page.evaluate<string>("navigator.clipboard.readText()");
}

/** Runs a line in a shell that has the token; fails if curl fails. */
export async function run(line: string, token = "dev"): Promise<string> {
  const child = Bun.spawn(["sh", "-c", line], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env["PATH"] ?? "", AYDER_TOKEN: token },
  });
  const [out, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect(code, errors).toBe(0);
  return out;
}
