/** The manual as a server gives it: every page, every link, and the page of every error. */

import { expect, setDefaultTimeout, test } from "bun:test";
import { pageNames } from "../../src/docs/contents.ts";
import { type ErrorCode, errorResponse, HTTP_ERRORS } from "../../src/http/errors.ts";
import { testServer } from "../tools/process/test-server.ts";

setDefaultTimeout(60_000);
const { server } = testServer();

const hrefsIn = (html: string): string[] =>
  [...html.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, href = ""]) => href);

test("every page is reachable from /docs by links, without a token and without scripts", async () => {
  const seen = new Set<string>();
  const waiting = ["/docs"];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const answer = await fetch(server.url + path);
    expect(answer.status, path).toBe(200);
    if (path.endsWith(".css")) continue;
    expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const html = await answer.text();
    expect(html).not.toContain("<script");
    expect(html).not.toMatch(/\{\{|\.md"/);
    for (const href of hrefsIn(html)) {
      const url = new URL(href, server.url + path);
      if (url.origin !== server.url) continue;
      if (url.hash !== "" && url.pathname === path)
        expect(html).toContain(`id="${url.hash.slice(1)}"`);
      waiting.push(url.pathname);
    }
  }
  for (const name of pageNames()) expect([...seen]).toContain(`/docs/${name}`);
});

test("the manual works behind a proxy that adds a path prefix: no address is absolute", async () => {
  for (const path of ["/docs", "/docs/produce"]) {
    const html = await (await fetch(server.url + path)).text();
    expect(hrefsIn(html).filter((href) => href.startsWith("/"))).toEqual([]);
  }
});

test("each error leads to a page that exists", async () => {
  const pages = new Set(
    Object.keys(HTTP_ERRORS).map(
      (code) => errorResponse(code as ErrorCode, "", null, null).headers.get("link") ?? "",
    ),
  );
  expect(pages.size).toBeGreaterThan(5);
  for (const link of pages) {
    const path = /^<(\/docs\/[a-z-]+)>; rel="help"$/.exec(link)?.[1];
    expect(path, link).toBeDefined();
    expect((await fetch(server.url + path)).status).toBe(200);
  }
  const answer = await fetch(`${server.url}/nothing/here`);
  expect(answer.status).toBe(401);
  expect(answer.headers.get("link")).toBe('</docs/security>; rel="help"');
});

type Linked = { readonly externalDocs?: { readonly url: string } };

test("the OpenAPI document and each of its tags link to a page that exists", async () => {
  const at = `${server.url}/openapi.json`;
  const document = (await (await fetch(at)).json()) as Linked & { tags: readonly Linked[] };
  expect(document.tags.length).toBeGreaterThan(8);
  for (const { externalDocs } of [document, ...document.tags]) {
    const url = externalDocs?.url ?? "";
    expect(url).toMatch(/^docs(\/[a-z-]+)?$/); // Relative, for proxies that add a prefix.
    const page = await fetch(new URL(url, at));
    expect([url, page.status]).toEqual([url, 200]);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
  }
});

test("an unknown page is 404 and names the nearest one; a known one is conditional and compressed", async () => {
  const missing = await fetch(`${server.url}/docs/produse`);
  expect(missing.status).toBe(404);
  expect(await missing.json()).toMatchObject({
    error: "route_not_found",
    message: 'The manual has no page "produse"; did you mean "produce"?',
  });
  const page = await fetch(`${server.url}/docs/produce`);
  const etag = page.headers.get("etag") ?? "";
  const again = await fetch(`${server.url}/docs/produce`, { headers: { "if-none-match": etag } });
  expect(again.status).toBe(304);
  const zipped = await fetch(`${server.url}/docs/produce`, {
    headers: { "accept-encoding": "gzip" },
  });
  expect(zipped.headers.get("content-encoding")).toBe("gzip");
  expect(await zipped.text()).toBe(await page.text());
});
