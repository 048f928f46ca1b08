import { expect, test } from "bun:test";
import { fixture } from "../tools/http/fixture.ts";

/** All of the console, as it goes over the wire. */
const GZIPPED_BYTES_MAX = 100_000;

async function get(path: string, headers: Record<string, string> = {}, method = "GET") {
  const { app } = fixture();
  return await app.fetch(new Request(`http://localhost${path}`, { method, headers }));
}

async function files(): Promise<string[]> {
  const page = await get("/ui");
  return namesIn(await page.text()).map((name) => `/${name}`);
}

/** Relative addresses of the page, but for its icon. */
const namesIn = (html: string): string[] =>
  [...html.matchAll(/(?:src|href)="(?!data:)([^"]+)"/g)].map(([, name = ""]) => name);

test("the page and its files need no token and have at most 100 kB", async () => {
  const gzip = { "accept-encoding": "br, gzip" };
  const names = await files();
  expect(names.length).toBe(2);
  let total = 0;
  for (const path of ["/ui", ...names]) {
    const plain = await get(path);
    const packed = await get(path, gzip);
    expect(plain.status).toBe(200);
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    const bytes = new Uint8Array(await packed.arrayBuffer());
    expect(Bun.gunzipSync(bytes)).toEqual(new Uint8Array(await plain.arrayBuffer()));
    expect(plain.headers.get("vary")).toBe("accept-encoding");
    total += bytes.length;
  }
  expect(total).toBeLessThanOrEqual(GZIPPED_BYTES_MAX);
  expect(total).toBeGreaterThan(5000);
});

test("its addresses are relative, so that a reverse proxy may add a prefix", async () => {
  const [script, style] = [expect.stringMatching(/^[\w-]+\.js$/), expect.stringMatching(/\.css$/)];
  const bare = namesIn(await (await get("/ui/")).text());
  expect(bare).toHaveLength(2);
  expect(bare).toEqual(expect.arrayContaining([style, script]));
  const below = namesIn(await (await get("/ui")).text());
  expect(below).toEqual(bare.map((name) => `ui/${name}`));
  for (const name of below) {
    expect(new URL(name, "http://proxy/ayder/ui").pathname).toBe(`/ayder/${name}`);
  }
  for (const name of bare) {
    expect(new URL(name, "http://proxy/ayder/ui/").pathname).toBe(`/ayder/ui/${name}`);
  }
});

test("nothing in it is inline, and the policy lets nothing else in", async () => {
  const page = await get("/ui");
  expect(page.headers.get("content-security-policy")).toBe(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
      "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  );
  expect(page.headers.get("x-content-type-options")).toBe("nosniff");
  expect(page.headers.get("referrer-policy")).toBe("no-referrer");
  const html = await page.text();
  expect(html).not.toMatch(/<style|style=|\son\w+=|javascript:/i);
  expect(html.replaceAll(/<script type="module" src="[^"]+"><\/script>/g, "")).not.toContain(
    "<script",
  );
});

test("the page is asked for each time, its files for ever; both are known again", async () => {
  const page = await get("/ui");
  expect(page.headers.get("cache-control")).toBe("no-cache");
  const [file = ""] = await files();
  const kept = await get(file);
  expect(kept.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
  for (const [path, { headers }] of [
    ["/ui", page],
    [file, kept],
  ] as const) {
    const again = await get(path, { "if-none-match": headers.get("etag") ?? "" });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe("");
    expect((await get(path, { "if-none-match": '"other"' })).status).toBe(200);
  }
});

test("a slash behind it, HEAD, and a file that is not there", async () => {
  expect((await get("/ui/")).headers.get("content-type")).toBe("text/html; charset=utf-8");
  const head = await get("/ui", {}, "HEAD");
  expect(head.status).toBe(200);
  for (const path of ["/ui/nope.js", "/ui/..%2f..%2fpackage.json", "/ui/main.ts"]) {
    expect((await get(path)).status).toBe(404);
  }
  expect((await get("/ui", {}, "POST")).status).toBe(405);
});
