/** A start reports its settings. */
import { afterAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { unknownVariables } from "../../src/config/unknown-variables.ts";
import { ayder, spawnAyder } from "../tools/process/ayder.ts";
import { serverCommand, startServer, temporaryDirectory } from "../tools/process/server.ts";

const directory = temporaryDirectory();
afterAll(() => directory.remove());

test("a misspelt variable is told at the start with what was meant, and its value is not", async () => {
  const env = { RF_WRITE_CONCERN: "s3cr3t", AYDER_TOKEN: "t0k3n", RF_LOG_LEVEL: "warn" };
  const server = await startServer({ dataDir: directory.path, env });
  try {
    const lines = server.log().match(/^.*unknown setting ignored.*$/gm) ?? [];
    expect(lines.length).toBe(1);
    expect(lines[0]).toContain("level=warn");
    expect(lines[0]).toContain("name=RF_WRITE_CONCERN nearest=RF_HA_WRITE_CONCERN");
    expect(server.log()).not.toMatch(/s3cr3t|t0k3n/);
  } finally {
    await server.kill();
  }
});

test("a token that everybody knows is told at the start", async () => {
  for (const [tokens, said] of [
    ["dev@read", true],
    ["devil,s3cr3t", false],
  ] as const) {
    const env = { RF_BEARER_TOKENS: tokens, RF_HTTP_ADDR: "127.0.0.1", RF_LOG_LEVEL: "warn" };
    const server = await startServer({ dataDir: directory.path, env });
    await server.kill();
    expect([tokens, server.log().includes("public token")]).toEqual([tokens, said]);
  }
});

test("a start says what each token may do, without the token", async () => {
  const tokens = "s3cr3t@read+write=orders.*,0ther:t0k3n";
  const env = {
    RF_BEARER_TOKENS: tokens,
    RF_HTTP_ADDR: "127.0.0.1",
    RF_AUTH_SKIP_PREFIXES: "/kv/public/",
  };
  const server = await startServer({ dataDir: directory.path, env });
  await server.kill();
  expect(server.log().match(/(?<=msg=")token \d of .*(?="$)/gm)).toEqual([
    "token 1 of 3: reads all names, writes orders.*, no limit",
    "token 2 of 3: reads all names, writes all names, administers all names, no limit",
    "token 3 of 3: reads all names, writes all names, administers all names, no limit",
  ]);
  expect(server.log()).toContain('"paths without authentication" prefixes=/kv/public/');
  expect(server.log()).not.toMatch(/s3cr3t|0ther|t0k3n/);
});

test("tokens and certificates that cannot be used end a start before it touches a disk", () => {
  for (const env of [{ RF_BEARER_TOKENS: "a::b" }, { RF_TLS_CERT: "cert.pem" }]) {
    const dataDir = join(directory.path, "untouched");
    const command = [...serverCommand(), "--port", "0", "--data-dir", dataDir];
    const { exitCode, stderr } = Bun.spawnSync(command, { env });
    expect(exitCode).toBe(78);
    expect(stderr.toString()).toContain(Object.keys(env)[0] ?? "");
    expect(existsSync(dataDir)).toBe(false);
  }
});

test("what was meant is found, and what belongs to others is left alone", () => {
  const meant = (...names: string[]) =>
    unknownVariables(Object.fromEntries(names.map((name) => [name, "1"])));
  expect(meant("RF_HA_ELECTON_TIMEOUT_MS", "RF_PORT", "AYDER_DATA_DIR", "RF_ZZZ")).toEqual([
    { name: "AYDER_DATA_DIR", nearest: "RF_DATA_DIR" },
    { name: "RF_HA_ELECTON_TIMEOUT_MS", nearest: "RF_HA_ELECTION_TIMEOUT_MS" },
    { name: "RF_PORT", nearest: "RF_HTTP_PORT" },
    { name: "RF_ZZZ", nearest: null },
  ]);
  expect(meant("RF_HTTP_PORT", "PORT", "AYDER_URL", "AYDER_TOKEN", "XRF_PORT", "PATH")).toEqual([]);
  expect(unknownVariables({ RF_NOTHING: "", RF_NEITHER: undefined })).toEqual([]);
  // A Kubernetes service called "ayder" is told to every pod beside it.
  const service = {
    AYDER_SERVICE_HOST: "10.0.0.1",
    AYDER_SERVICE_PORT: "1109",
    AYDER_SERVICE_PORT_HTTP: "1109",
    AYDER_PORT: "tcp://10.0.0.1:1109",
    AYDER_PORT_1109_TCP: "tcp://10.0.0.1:1109",
    AYDER_PORT_1109_TCP_ADDR: "10.0.0.1",
  };
  expect(unknownVariables(service)).toEqual([]);
  expect(unknownVariables({ AYDER_PORT: "1109" })).toEqual([
    { name: "AYDER_PORT", nearest: "RF_HTTP_PORT" },
  ]);
});

test("a bootstrap order for a node that is not listed stops the start", async () => {
  const empty = temporaryDirectory();
  const env = {
    RF_HA_ENABLED: "1",
    RF_HA_NODE_ID: "a",
    RF_HA_NODES: "a:127.0.0.1:7001:1,b:127.0.0.1:7003:1",
    RF_HA_BOOTSTRAP_LEADER: "c",
  };
  const { code, err } = await ayder(["--port", "0", "--data-dir", empty.path], { env });
  expect(code).toBe(78);
  expect(err).toContain(
    'RF_HA_BOOTSTRAP_LEADER: "c" is neither 0 nor 1 nor the id of a node of RF_HA_NODES',
  );
  empty.remove();
});

test("a start that is refused says what to do", async () => {
  const running = await startServer({ dataDir: directory.path });
  const { port } = new URL(running.url);
  const other = temporaryDirectory();
  const file = join(other.path, "file");
  await Bun.write(file, "");
  try {
    for (const [args, said] of [
      [["--port", port, "--data-dir", other.path], `port ${port} of 127.0.0.1 is in use`],
      [["--port", "0", "--data-dir", directory.path], `in use by process ${running.pid}`],
      [["--port", "0", "--data-dir", file], `"${file}": it must be a directory that this user`],
      // TEST-NET-1 is nobody's.
      [
        ["--port", "0", "--data-dir", other.path, "--host", "192.0.2.1"],
        "192.0.2.1 is not an address",
      ],
    ] as const) {
      const { code, out, err } = await ayder([...args]);
      expect([code, out]).toEqual([78, ""]);
      expect(err.trimEnd().split("\n").at(-1)).toStartWith("ayder: ");
      expect(err).toContain(said);
      expect(err).toMatch(/--(port|data-dir|host)/);
    }
  } finally {
    await running.kill();
    other.remove();
  }
});

test("a node that listens everywhere says where its console is on this machine", async () => {
  const args = ["--port", "0", "--host", "0.0.0.0", "--data-dir", directory.path];
  const child = spawnAyder(args);
  let text = "";
  for await (const chunk of child.stdout) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("/ui\n")) child.kill("SIGTERM");
  }
  expect(await child.exited).toBe(0);
  const port = /listening on http:\/\/0\.0\.0\.0:(\d+)\n/.exec(text)?.[1];
  expect(text).toContain(`console: http://localhost:${port}/ui\n`);
});
