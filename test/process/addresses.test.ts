/** Addresses to listen on: what is taken, what is printed, and what is said of one that is not. */
import { afterAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, readConfig } from "../../src/config/config.ts";
import { parseTopology } from "../../src/config/topology.ts";
import { ayder, spawnAyder } from "../tools/process/ayder.ts";
import { freePorts } from "../tools/process/ports.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const directory = temporaryDirectory();
afterAll(() => directory.remove());

const read = (host: string, port = "") => {
  const flags = new Map([["host", host], ...(port === "" ? [] : [["port", port] as const])]);
  try {
    const config = readConfig(flags, {});
    return [config.host, config.port];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
};

test("hosts and ports are read as they are written", () => {
  expect(read("::1")).toEqual(["::1", 1109]);
  expect(read("[::1]")).toEqual(["::1", 1109]);
  expect(read("[::1]:31130")).toEqual(["::1", 31130]);
  expect(read("[::1]:31130", "7")).toEqual(["::1", 7]);
  expect(read("::ffff:127.0.0.1")).toEqual(["::ffff:127.0.0.1", 1109]);
  // An address of its own, whatever was meant.
  expect(read("::1:3113")).toEqual(["::1:3113", 1109]);
  expect(read("127.0.0.1:80")).toEqual(["127.0.0.1", 80]);
  expect(read("node-1.example_x.com.:80")).toEqual(["node-1.example_x.com.", 80]);
  expect(read(":80")).toEqual(["", 80]);
});

test("what is no address is refused by name, with what is allowed", () => {
  const wrong = (host: string, what: string) =>
    expect(read(host)).toBe(`--host: ${JSON.stringify(host)}: ${what}`);
  const v6 = "it is not an IPv6 address; with a port it is written [::1]:1109";
  for (const host of ["::1:31130", "[::1", "::1]", "[::g]", "[::1]x", "a:b:c", "host:http"]) {
    wrong(host, v6);
  }
  wrong("[127.0.0.1]", "only an IPv6 address stands in brackets");
  wrong("[]", "it is not a host name or an address");
  wrong("256.1.1.1", "it is not an IPv4 address");
  wrong("1.2.3", "it is not an IPv4 address");
  for (const host of ["a b", "-a", "a..b", "ä.example", `${"a".repeat(64)}.com`]) {
    wrong(host, "it is not a host name or an address");
  }
  wrong("http://127.0.0.1", "it is a URL, and a host name or an address is needed");
  expect(() => readConfig(new Map(), { RF_HTTP_ADDR: "::1:31130" })).toThrow(
    'RF_HTTP_ADDR: "::1:31130": ',
  );
});

test("hosts of the topology follow the same rules", () => {
  expect(parseTopology("a:[fd00::2]:7000:1,b:node-b:7000:1").map(({ host }) => host)).toEqual([
    "fd00::2",
    "node-b",
  ]);
  for (const host of ["[fd00::g]", "256.1.1.1", "[127.0.0.1]", "a b"]) {
    expect(() => parseTopology(`a:${host}:7000:1`)).toThrow(`"${host}"`);
  }
});

test("an unknown host ends the start before it touches a disk", async () => {
  const dataDir = join(directory.path, "untouched");
  for (const args of [
    ["--host", "nosuch.invalid"],
    ["--host", "::1:31130"],
  ]) {
    const { code, out, err } = await ayder(["--port", "0", "--data-dir", dataDir, ...args]);
    expect([code, out]).toEqual([78, ""]);
    expect(err).toContain(`ayder: --host`);
    expect(err).toContain(JSON.stringify(args[1]));
    expect(err).not.toContain("in use");
    expect(existsSync(dataDir)).toBe(false);
  }
});

test("an address of IPv6 is printed so that it can be used", async () => {
  for (const host of ["::1", "[::1]"]) {
    const dataDir = join(directory.path, "six");
    const child = spawnAyder(["--port", "0", "--host", host, "--data-dir", dataDir]);
    let text = "";
    for await (const chunk of child.stdout) {
      text += new TextDecoder().decode(chunk);
      if (!text.includes("/ui\n")) continue;
      const url = /listening on (\S+)\n/.exec(text)?.[1] ?? "";
      expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/);
      expect(text).toContain(`console: ${url}/ui\n`);
      expect((await fetch(`${url}/health`)).status).toBe(200);
      child.kill("SIGTERM");
    }
    expect(await child.exited).toBe(0);
  }
});

test("a Raft port that is taken is named with its setting", async () => {
  const [raft = 0, http] = freePorts(2);
  const holder = Bun.listen({ hostname: "127.0.0.1", port: raft, socket: { data() {} } });
  try {
    const env = {
      RF_HA_ENABLED: "1",
      RF_HA_NODE_ID: "a",
      RF_HA_NODES: `a:127.0.0.1:${raft}:1:${http}`,
    };
    const { code, err } = await ayder(["--data-dir", join(directory.path, "raft")], { env });
    expect(code).toBe(78);
    expect(err).toContain(
      `ayder: port ${raft} of 127.0.0.1 is in use: stop what listens there, or take another with RF_HA_NODES\n`,
    );
  } finally {
    holder.stop(true);
  }
});
