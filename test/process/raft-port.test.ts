/** The Raft port of real nodes: what a start refuses, and what an outsider gets. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeId } from "../../src/lib/ids.ts";
import { readPayload } from "../../src/transport/envelope.ts";
import {
  PROTOCOL_VERSION,
  readChallenge,
  writeHello,
} from "../../src/transport/handshake-codec.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startNodes, untilReady } from "../tools/process/nodes.ts";
import { freePorts } from "../tools/process/ports.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { RawPeer } from "../tools/transport/raw-peer.ts";

const directory = temporaryDirectory();
afterAll(() => directory.remove());
const SECRET = "s3cret-0123456789-0123456789";

/** TEST-NET-1 is nobody's: the node is of two, and the other is never there. */
function settings(host: string, own = "127.0.0.1"): Record<string, string> {
  const [raft, http, other] = freePorts(3);
  return {
    RF_HA_ENABLED: "1",
    RF_HA_NODES: `node1:${own}:${raft}:1:${http},node2:${host}:${other}:1`,
    RF_LOG_LEVEL: "warn",
  };
}

describe("without TLS and secret", () => {
  for (const [what, env] of [
    ["a peer on another machine", settings("192.0.2.7")],
    ["a peer with a name", settings("db2.example")],
    ["a peer whose name begins like an address", settings("127.example")],
    ["an own address that all interfaces have", settings("127.0.0.1", "0.0.0.0")],
    ["a listen host beyond loopback", { ...settings("127.0.0.1"), RF_HA_LISTEN: "0.0.0.0" }],
  ] as const) {
    test(`${what} stops the start`, async () => {
      const dataDir = join(directory.path, "untouched");
      const { code, err } = await ayder(["--port", "0", "--data-dir", dataDir], { env });
      expect(code).toBe(78);
      expect(err).toContain("is not a loopback address");
      for (const remedy of ["RF_HA_SECRET", "RF_HA_SECRET_FILE", "RF_HA_TLS=1", "RF_HA_INSECURE=1"])
        expect(err).toContain(remedy);
      expect(existsSync(dataDir)).toBe(false);
    });
  }

  for (const extra of [{ RF_HA_INSECURE: "1" }, { RF_COMPAT: "ayder" }]) {
    test(`${Object.keys(extra)} starts it, with a warning`, async () => {
      const env = { ...settings("192.0.2.7"), ...extra };
      const server = await startServer({ dataDir: join(directory.path, "open"), env });
      await server.kill();
      expect(server.log()).toContain("the Raft port is open");
    });
  }

  test("loopback alone needs nothing", async () => {
    const env = settings("127.0.0.2");
    const server = await startServer({ dataDir: join(directory.path, "loopback"), env });
    await server.kill();
    expect(server.log()).not.toContain("Raft port is open");
  });
});

describe("the secret", () => {
  test("may lie in a file, and is nowhere in the log or in the metrics", async () => {
    const file = join(directory.path, "secret");
    await Bun.write(file, `${SECRET},${SECRET}-old\n`);
    const env = { ...settings("192.0.2.7"), RF_HA_SECRET_FILE: file, RF_LOG_LEVEL: "debug" };
    const server = await startServer({ dataDir: join(directory.path, "file"), env });
    const pages = ["/metrics", "/metrics_ha", "/health", "/ready", "/openapi.json"];
    const texts = await Promise.all(
      pages.map((path) => fetch(server.url + path).then((reply) => reply.text())),
    );
    await server.kill();
    expect(server.log()).toContain("listening");
    expect(server.log() + texts.join("")).not.toContain(SECRET);
  });

  for (const [what, env, said] of [
    ["three", { RF_HA_SECRET: `${SECRET},b,c` }, "has 3 secrets"],
    ["an empty one", { RF_HA_SECRET: `${SECRET},` }, "has an empty secret"],
    ["both ways", { RF_HA_SECRET: SECRET, RF_HA_SECRET_FILE: "x" }, "are both set"],
    ["a file that is not there", { RF_HA_SECRET_FILE: "/nowhere/x" }, "/nowhere/x cannot be read"],
  ] as const) {
    test(`${what} is refused without a word of it`, async () => {
      const all = { ...settings("192.0.2.7"), ...env };
      const dataDir = join(directory.path, "untouched");
      const { code, out, err } = await ayder(["--port", "0", "--data-dir", dataDir], { env: all });
      expect(code).toBe(78);
      expect(err).toContain(said);
      expect(out + err).not.toContain(SECRET);
    });
  }

  test("ayder settings does not show it", async () => {
    const { out, err } = await ayder(["settings"], { env: { RF_HA_SECRET: SECRET } });
    expect(out).toContain("RF_HA_SECRET");
    expect(out + err).not.toContain(SECRET);
  });
});

/** Pretends to be `from`, with a disk of its own and a membership that no node has. */
async function attack(port: number, from: string, clusterId: string | null): Promise<string> {
  const peer = new RawPeer(port);
  const challenge = await peer.next();
  if (challenge === null) return "closed";
  const words = {
    protocol: PROTOCOL_VERSION,
    from: from as NodeId,
    to: "node1" as NodeId,
    clusterId,
    storageId: "a disk of the attacker",
    membershipInfo: { membershipVersion: 2 ** 50, address: { host: "127.0.0.1", port: 1 } },
    acceptorNonce: readPayload(challenge.payload, readChallenge).nonce,
    diallerNonce: new Uint8Array(32).fill(7),
  };
  peer.send("hello", (writer) => writeHello(writer, { ...words, proof: null }));
  const outcome = await peer.outcome();
  peer.close();
  return outcome;
}

describe("an outsider that knows the name of a node and claims a newer membership", () => {
  for (const [what, environment, outcomes] of [
    ["with a secret", { RF_HA_SECRET: SECRET }, ["closed", "closed"]],
    ["without one", {}, ["old_incarnation", "unknown_peer"]],
  ] as const) {
    test(`is refused, ${what}, and the cluster goes on`, async () => {
      const data = join(directory.path, what.replaceAll(" ", "-"));
      const { urls, children, raftPorts } = startNodes(data, environment);
      try {
        await untilReady(urls);
        const produce = () =>
          fetch(`${urls[0]}/broker/topics/t/produce`, {
            method: "POST",
            body: "x",
            headers: { authorization: "Bearer dev" },
          }).then((reply) => reply.json() as Promise<{ durable: boolean }>);
        expect(await produce()).toMatchObject({ durable: true });
        for (const [i, name] of ["node2", "nobody"].entries()) {
          // The disk of an attacker belongs to no cluster; or it knows which one this is.
          expect(await attack(raftPorts[0] ?? 0, name, null)).toBe(outcomes[i] ?? "");
        }
        expect(await produce()).toMatchObject({ durable: true });
        await untilReady(urls);
      } finally {
        for (const child of children) child.kill("SIGKILL");
        await Promise.all(children.map((child) => child.exited));
      }
    }, 120_000);
  }
});

/** Bytes that a connection may have sent when it is closed, for want of a secret. */
type Flood = { sent: number; closed: number; readonly sockets: Bun.Socket<undefined>[] };

const OPENING =
  "GET /ayder/raft HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/** Opens a connection that goes on sending zeros after `first`, if it is to. */
async function connect(port: number, flood: Flood, first: Uint8Array, goOn: boolean) {
  const zeros = new Uint8Array(256 * 1024);
  const more = (socket: Bun.Socket<undefined>) => {
    for (;;) {
      const sent = socket.write(zeros);
      flood.sent += Math.max(0, sent);
      if (sent < zeros.length) return;
    }
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: (opened) => {
        if (first.length > 0) opened.write(first);
        if (goOn) more(opened);
      },
      drain: (opened) => {
        if (goOn) more(opened);
      },
      data: () => {},
      close: () => {
        flood.closed++;
      },
      error: () => {},
    },
  }).catch(() => null);
  if (socket !== null) flood.sockets.push(socket);
}

const residentMiB = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

describe("connections to the Raft port that prove nothing", () => {
  /** One node of two: the other is never there, so the port is all that is busy. */
  async function withNode(
    extra: Readonly<Record<string, string>>,
    body: (server: Server, port: number) => Promise<void>,
  ): Promise<void> {
    const [raft, http, other] = freePorts(3);
    const env = {
      RF_HA_ENABLED: "1",
      RF_HA_NODES: `node1:127.0.0.1:${raft}:1:${http},node2:127.0.0.2:${other}:1`,
      RF_LOG_LEVEL: "warn",
      ...extra,
    };
    const dataDir = join(directory.path, crypto.randomUUID());
    const server = await startServer({ dataDir, env });
    try {
      await body(server, raft ?? 0);
    } finally {
      await server.kill();
    }
  }

  const metric = async (url: string, name: string): Promise<number> => {
    const text = await (await fetch(`${url}/metrics_ha`)).text();
    return Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1]);
  };
  const until = async (holds: () => Promise<boolean> | boolean): Promise<void> => {
    while (!(await holds())) await Bun.sleep(20);
  };
  const refused = (url: string) => metric(url, "ayder_ha_peer_connections_refused_total");

  for (const [what, extra, code] of [
    ["with a secret", { RF_HA_SECRET: SECRET }, "not_proven"],
    ["without one", {}, "too_"],
  ] as const) {
    test(
      `${what}, 64 frames of 31 MiB that are not whole cost no memory`,
      () =>
        withNode(extra, async ({ url, pid, log }, port) => {
          const before = residentMiB(pid);
          const flood: Flood = { sent: 0, closed: 0, sockets: [] };
          const header = Uint8Array.of(0x82, 0xff, 0, 0, 0, 0, 1, 0xf0, 0, 0, 1, 2, 3, 4);
          const first = Buffer.concat([Buffer.from(OPENING), header]);
          await Promise.all(Array.from({ length: 64 }, () => connect(port, flood, first, true)));
          await until(() => flood.closed === 64);
          expect(await refused(url)).toBeGreaterThanOrEqual(64);
          expect(await metric(url, "ayder_ha_peer_connections_unverified")).toBe(0);
          // All of them whole are 2 GiB.
          expect(residentMiB(pid) - before).toBeLessThan(400);
          await until(() =>
            log().includes(`peer connection refused" remote=127.0.0.1 code=${code}`),
          );
          expect(log().split("peer connection refused").length - 1).toBeLessThan(10);
        }),
      60_000,
    );
  }

  test(
    "are bounded in number and time, and a peer still gets through",
    () =>
      withNode({}, async ({ url, log }, port) => {
        const flood: Flood = { sent: 0, closed: 0, sockets: [] };
        const firsts = ["G", "GET /ayder/raft HTTP/1.1\r\n", OPENING];
        for (let i = 0; i < 150; i++) {
          await connect(port, flood, Buffer.from(firsts[i % firsts.length] ?? ""), false);
        }
        expect(await metric(url, "ayder_ha_peer_connections_unverified")).toBeLessThanOrEqual(16);
        // Another peer that answers the challenge is heard among them.
        expect(await attack(port, "nobody", null)).toBe("unknown_peer");
        await until(() => flood.closed === 150);
        expect(await metric(url, "ayder_ha_peer_connections_unverified")).toBe(0);
        expect(await refused(url)).toBeGreaterThan(134);
        expect(log()).toContain("code=too_many");
        for (const socket of flood.sockets) socket.terminate();
      }),
    60_000,
  );
});
