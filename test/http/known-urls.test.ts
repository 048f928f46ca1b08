/** Goal: the values in a URL are read once, and memory for them is bounded. Method: reads are counted. */
import { expect, test } from "bun:test";
import { KnownUrls, readByUrl } from "../../src/http/known-urls.ts";
import type { RequestContext } from "../../src/http/request-context.ts";

const at = (url: string) => ({ url }) as RequestContext;

test("a URL is read once, and an error is not remembered", () => {
  const urls: string[] = [];
  const read = readByUrl(({ url }) => {
    urls.push(url);
    if (url === "/bad") throw new Error("bad");
    return `read ${url}`;
  });
  for (let i = 0; i < 3; i++) {
    expect(read(at("/a?n=1"))).toBe("read /a?n=1");
    expect(read(at("/a?n=2"))).toBe("read /a?n=2");
    expect(() => read(at("/bad"))).toThrow("bad");
  }
  expect(urls).toEqual(["/a?n=1", "/a?n=2", "/bad", "/bad", "/bad"]);
});

test("at most 256 URLs of at most 512 characters are remembered", () => {
  const known = new KnownUrls<number>();
  known.remember("x".repeat(512), 512);
  known.remember("x".repeat(513), 513);
  expect(known.get("x".repeat(512))).toBe(512);
  expect(known.get("x".repeat(513))).toBeUndefined();
  for (let i = 1; i < 256; i++) known.remember(`/${i}`, i);
  expect(known.get("x".repeat(512))).toBe(512);
  known.remember("/256", 256);
  expect([known.get("x".repeat(512)), known.get("/1"), known.get("/256")]).toEqual([
    undefined,
    undefined,
    256,
  ]);
});
