/** Which proxy a request takes. The runtime follows the same rules for what it requests itself. */
import { expect, test } from "bun:test";
import { proxyFor, viaProxy } from "../../src/cli/proxy.ts";

const PROXY = "http://me:secret@proxy.example:3128";
const isProxied = (address: string, noProxy: string) =>
  proxyFor(address, { HTTP_PROXY: PROXY, NO_PROXY: noProxy }) !== null;

test("NO_PROXY: names and what is below them, ports, networks, *", () => {
  for (const [address, noProxy, proxied] of [
    ["http://s3.far.example:9", "", true],
    ["http://s3.far.example:9", "far.example", false],
    ["http://s3.far.example:9", ".far.example", false],
    ["http://s3.far.example:9", "*.far.example", false],
    ["http://far.example:9", ".far.example", false],
    ["http://s3.far.example:9", "S3.FAR.example", false],
    ["http://s3.far.example:9", "s3.far.example.", false],
    ["http://s3.far.example:9", "a, s3.far.example ,b", false],
    ["http://s3.far.example:9", "a s3.far.example", false],
    ["http://s3.far.example:9", "s3.far.example:9", false],
    ["http://s3.far.example:9", "s3.far.example:10", true],
    ["http://s3.far.example", "s3.far.example:80", false],
    ["http://s3.far.example", "s3.far.example:443", true],
    ["http://xs3.far.example:9", "s3.far.example", true],
    ["http://far.example:9", "s3.far.example", true],
    ["http://10.1.2.3:9", "10.0.0.0/8", false],
    ["http://11.1.2.3:9", "10.0.0.0/8", true],
    ["http://10.1.2.3:9", "10.1.2.3", false],
    ["http://10.1.2.3:9", "10.1", true],
    ["http://10.1.2.3:9", ".2.3", true],
    ["http://10.1.2.3:9", "10.0.0.0/33", true],
    ["http://[fd00::9]:9", "fd00::/8", false],
    ["http://[fd00::9]:9", "[fd00::9]:9", false],
    ["http://[fd00::9]:9", "[fd00::9]:10", true],
    ["http://[fd00::9]:9", "fd00::9", false],
    ["http://s3.far.example:9", "a,*", false],
  ] as const) {
    expect([address, noProxy, isProxied(address, noProxy)]).toEqual([address, noProxy, proxied]);
  }
});

test("this machine has no proxy, whatever the variables say", () => {
  for (const host of ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0"]) {
    expect([host, isProxied(`http://${host}:9`, "x")]).toEqual([host, false]);
  }
});

test("the variable of the scheme, then ALL_PROXY; names in lower case first; errors name it", () => {
  const from = (address: string, environment: Record<string, string>) =>
    viaProxy(address, environment);
  const far = "http://far.example";
  expect(from(far, { HTTP_PROXY: PROXY })).toBe(
    " through the proxy http://proxy.example:3128 (HTTP_PROXY)",
  );
  expect(from(far, { HTTPS_PROXY: PROXY })).toBe("");
  expect(from("https://far.example", { HTTPS_PROXY: PROXY })).toEndWith("(HTTPS_PROXY)");
  expect(from("https://far.example", { HTTP_PROXY: PROXY })).toBe("");
  expect(from(far, { ALL_PROXY: PROXY })).toEndWith("(ALL_PROXY)");
  expect(from(far, { ALL_PROXY: "http://b", HTTP_PROXY: "http://a" })).toBe(
    " through the proxy http://a (HTTP_PROXY)",
  );
  expect(from(far, { http_proxy: "http://a", HTTP_PROXY: "http://b" })).toEndWith("(http_proxy)");
  expect(from(far, { http_proxy: "", HTTP_PROXY: "http://b" })).toEndWith("(HTTP_PROXY)");
  expect(from(far, { HTTP_PROXY: PROXY, no_proxy: "far.example", NO_PROXY: "x" })).toBe("");
  expect(from(far, { HTTP_PROXY: PROXY, no_proxy: "x", NO_PROXY: "far.example" })).not.toBe("");
});
