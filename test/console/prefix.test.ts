/** The console behind a reverse proxy that serves it under a prefix and removes the prefix. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Browser, hasChromium, openBrowser, signIn } from "../tools/console/chromium.ts";
import { Api } from "../tools/console/seed.ts";
import { click, copiedLine, field, PATIENCE_MS, rowWith, run } from "../tools/console/stage.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

const PREFIX = "/tools/ayder";

/** Behaves like nginx with `location /tools/ayder/ { proxy_pass http://node/; }`. */
function startProxy(node: string) {
  const strays: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      if (!pathname.startsWith(`${PREFIX}/`)) {
        strays.push(`${request.method} ${pathname}`);
        return new Response("not below the prefix", { status: 404 });
      }
      const headers = new Headers(request.headers);
      headers.delete("host");
      const answer = await fetch(node + pathname.slice(PREFIX.length) + search, {
        method: request.method,
        headers,
        redirect: "manual",
        signal: request.signal,
        ...(request.body === null ? {} : { body: await request.arrayBuffer() }),
      });
      const passed = new Headers(answer.headers);
      for (const name of ["content-encoding", "content-length"]) passed.delete(name);
      return new Response(answer.body, { status: answer.status, headers: passed });
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, strays, stop: () => server.stop(true) };
}

describe.if(hasChromium())("under a prefix", () => {
  const directory = temporaryDirectory();
  let node: Server;
  let proxy: ReturnType<typeof startProxy>;
  let browser: Browser;
  beforeAll(async () => {
    node = await startServer({ dataDir: directory.path, env: { RF_BEARER_TOKENS: "secret" } });
    proxy = startProxy(node.url);
    browser = await openBrowser(proxy.url);
  }, PATIENCE_MS);
  afterAll(async () => {
    await browser?.close();
    await proxy?.stop();
    await node?.stop();
    directory.remove();
  }, PATIENCE_MS);

  for (const slash of ["", "/"]) {
    test(
      `${PREFIX}/ui${slash}: files, requests, streams and addresses stay below it`,
      async () => {
        const { page } = browser;
        const home = `${proxy.url}${PREFIX}`;
        await page.goto(`${home}/ui${slash}`);
        await page.evaluate("sessionStorage.clear()");
        await page.goto("about:blank");
        await signIn(page, home, slash, "secret");
        for (const [link, path] of [
          ["Manual", "/docs"],
          ["Help: opens the manual in a new tab", "/docs/topics"],
        ] as const) {
          const href = await page
            .getByRole("link", { name: link, exact: true })
            .getAttribute("href");
          expect(href).toBe(home + path);
          expect((await fetch(home + path)).status).toBe(200);
        }
        const name = slash === "" ? "orders" : "slashed";
        await click(page, "New topic");
        await field(page, "Name").fill(name);
        await field(page, "Partitions").fill("1");
        await click(page, "Create");
        await page.getByRole("heading", { name }).waitFor();
        expect(new URL(page.url()).pathname).toBe(`${PREFIX}/ui${slash}`);
        await page.getByRole("link", { name: "Messages" }).click();
        await page.getByText("Partition 0 is empty").waitFor();
        await click(page, "Follow");
        await page.getByText("Waiting for the next message…").waitFor();
        const api = new Api(node.url, "secret");
        await api.ask(`POST /broker/topics/${name}/produce?partition=0`, '{"seen":true}');
        await rowWith(page, '{"seen":true}').waitFor();
        await page.reload();
        await page.getByRole("heading", { name }).waitFor();
        await page.getByRole("link", { name: "Produce", exact: true }).click();
        await page.goBack();
        await page.goForward();
        await field(page, "Value").fill("by curl");
        const line = await copiedLine(page);
        expect(line).toContain(`${home}/broker/topics/${name}/produce`);
        expect(JSON.parse(await run(line, "secret"))).toMatchObject({ ok: true, offset: 1 });
        expect(browser.offences).toEqual([]);
        expect(proxy.strays.filter((stray) => stray !== "GET /favicon.ico")).toEqual([]);
      },
      PATIENCE_MS,
    );
  }
});
