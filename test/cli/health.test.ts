import { expect, test } from "bun:test";
import { ayder } from "../tools/process/ayder.ts";
import { freePorts } from "../tools/process/ports.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";
import { testServer } from "../tools/process/test-server.ts";

const { server } = testServer();

test("a running server is healthy and ready, found by --url, AYDER_URL or its own settings", async () => {
  const port = new URL(server.url).port;
  expect(await ayder(["health", "--url", server.url])).toMatchObject({ code: 0, err: "" });
  expect(await ayder(["health"], { env: { AYDER_URL: `${server.url}/` } })).toMatchObject({
    code: 0,
  });
  const { code, out } = await ayder(["health", "--ready"], { env: { RF_HTTP_PORT: port } });
  expect([code, out]).toEqual([0, '{"ready":true}\n']);
  expect(await ayder(["health"], { env: { RF_HTTP_ADDR: `127.0.0.1:${port}` } })).toMatchObject({
    code: 0,
  });
});

test("AYDER_URL is read as by every command: it may be empty, and it may name several servers", async () => {
  const port = new URL(server.url).port;
  const settings = { RF_HTTP_PORT: port, AYDER_URL: "" };
  expect(await ayder(["health"], { env: settings })).toMatchObject({ code: 0, err: "" });
  const [closed] = freePorts(1);
  const urls = `http://127.0.0.1:${closed},${server.url}`;
  const { code, out, err } = await ayder(["health"], { env: { AYDER_URL: urls } });
  expect([code, out]).toEqual([0, '{"ok":true}\n']);
  expect(err).toContain(`http://127.0.0.1:${closed}/health`);
  expect((await ayder(["health", "--url", ""])).code).toBe(3);
});

test("invalid settings are named", async () => {
  const { code, err } = await ayder(["health"], { env: { RF_HTTP_PORT: "x" } });
  expect([code, err]).toEqual([3, expect.stringContaining("RF_HTTP_PORT")]);
});

test("an unreachable server is code 3, and the address is named", async () => {
  const [port] = freePorts(1);
  const { code, err } = await ayder(["health"], { env: { RF_HTTP_PORT: String(port) } });
  expect(code).toBe(3);
  expect(err).toContain(`http://127.0.0.1:${port}/health`);
});

test("a node without a majority is healthy and not ready", async () => {
  const [raft = 0, other = 0] = freePorts(2);
  const lonely = temporaryDirectory();
  const env = {
    RF_HA_ENABLED: "1",
    RF_HA_NODES: `node1:127.0.0.1:${raft}:1,node2:127.0.0.1:${other}:1`,
  };
  const node = await startServer({ dataDir: lonely.path, env });
  try {
    expect(await ayder(["health", "--url", node.url])).toMatchObject({ code: 0 });
    const { code, out } = await ayder(["health", "--ready", "--url", node.url]);
    expect(code).toBe(3);
    expect(out).toContain('"ready":false');
  } finally {
    await node.kill();
    lonely.remove();
  }
});
