/** Debian's Chromium with an empty profile; forbidden actions of pages are recorded. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page, type Request } from "playwright-core";

export const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** Without Chromium the tests are skipped, unless the environment requires it. */
export function hasChromium(): boolean {
  if (existsSync(CHROMIUM)) return true;
  const advice = `no Chromium at ${CHROMIUM}: the console's tests need one (apt-get install chromium)`;
  if (process.env["CONSOLE_TESTS"] === "required") throw new Error(advice);
  console.warn(`left out: ${advice}`);
  return false;
}

export type Browser = {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Script errors, violations of the content security policy, requests to other origins. */
  readonly offences: string[];
  /** Leaves the page and waits for the end of its requests. */
  leave(): Promise<void>;
  close(): Promise<void>;
};

export type Look = {
  readonly theme?: "light" | "dark";
  readonly width?: number;
  readonly height?: number;
};

const BLANK = "about:blank";
const QUIET_MS_MAX = 5_000;

/** @param url of the server: the only origin that the page may contact. */
export async function openBrowser(url: string, look: Look = {}): Promise<Browser> {
  const { theme = "light", width = 1280, height = 800 } = look;
  const profile = mkdtempSync(join(tmpdir(), "ayder-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
    viewport: { width, height },
    colorScheme: theme,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  context.setDefaultTimeout(20_000);
  const page = context.pages()[0] ?? (await context.newPage());
  const offences: string[] = [];
  page.on("pageerror", (error) => offences.push(`script: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    // The page shows a refused request to the user; the browser also logs it.
    const isRefusal = /^Failed to load resource/.test(message.text());
    if (message.type() === "error" && !isRefusal) offences.push(`console: ${message.text()}`);
  });
  page.on("dialog", (dialog) => {
    offences.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  const isOwn = (address: string) => {
    const { protocol, origin } = new URL(address);
    return origin === url || protocol === "data:" || protocol === "blob:";
  };
  page.on("request", (request) => {
    // A redirect that is not followed is reported as a request, but is not sent: it has no response.
    const isRedirect = request.redirectedFrom() !== null;
    if (!isRedirect && !isOwn(request.url())) offences.push(`request to ${request.url()}`);
  });
  const pending = new Set<Request>();
  page.on("request", (request) => pending.add(request));
  for (const end of ["requestfinished", "requestfailed"] as const) {
    page.on(end as "requestfinished", (request) => pending.delete(request));
  }
  /**
   * The page polls and follows. Events of requests that a navigation or the end of the browser cuts
   * off may name objects that the driver has dropped, which fails whatever test runs then.
   */
  const leave = async () => {
    await page.goto(BLANK);
    for (const end = Date.now() + QUIET_MS_MAX; pending.size > 0 && Date.now() < end; ) {
      await Bun.sleep(10);
    }
    pending.clear();
  };
  page.on("response", (response) => {
    if (!isOwn(response.url())) offences.push(`response from ${response.url()}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      const { violatedDirective, blockedURI } = event as unknown as Record<string, string>;
      console.error(`CSP: ${violatedDirective} ${blockedURI}`);
    });
  });
  return {
    page,
    context,
    offences,
    leave,
    async close() {
      if (!page.isClosed()) await leave();
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** Opens the console at a hash and signs in. */
export async function signIn(page: Page, url: string, hash = "", token = "dev"): Promise<void> {
  await page.goto(`${url}/ui${hash}`);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Console" }).waitFor();
}
