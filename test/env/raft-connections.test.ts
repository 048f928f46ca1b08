/** The limits of connections to the Raft port before their other end is verified, by raw sockets. */
import { afterEach, expect, test } from "bun:test";
import { BunNetwork, type BunNetworkOptions } from "../../src/env/bun-network.ts";
import { ADMISSION_HEADER, LinkAdmission } from "../../src/env/link-admission.ts";
import type { Link } from "../../src/env/network.ts";
import { SharedSecret } from "../../src/env/shared-secret.ts";
import { openTcpSockets } from "../../src/env/tcp-sockets.ts";
import type { NodeId } from "../../src/lib/ids.ts";
import { PLACE, until } from "../tools/transport/nodes.ts";

const MIB = 1024 * 1024;
const A = "a" as NodeId;
const B = "b" as NodeId;
const admissionOf = (self: NodeId, secrets: string[], isOptional = false): LinkAdmission =>
  new LinkAdmission(new SharedSecret(secrets, isOptional), self);

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean();
});

/** A listener that says what it heard. */
class Port {
  readonly network: BunNetwork;
  readonly links: Link[] = [];
  readonly events: string[] = [];
  readonly refused: string[] = [];

  constructor(options: Partial<BunNetworkOptions> = {}) {
    this.network = new BunNetwork({ ...PLACE, sockets: openTcpSockets(1024), ...options });
    cleanups.push(() => this.network.close());
    this.network.listen(
      (link) => {
        const at = this.links.push(link) - 1;
        return {
          frame: ({ length }) => this.events.push(`${at} frame ${length}`),
          closed: (reason) => this.events.push(`${at} closed ${reason}`),
        };
      },
      (reason, remote) => this.refused.push(`${reason} ${remote}`),
    );
  }

  async connect(first: string | Uint8Array = ""): Promise<Raw> {
    const raw = new Raw();
    await raw.open(this.network.port);
    if (first.length > 0) raw.write(first);
    return raw;
  }

  /** A connection with an open link. */
  async link(): Promise<Raw> {
    const before = this.links.length;
    const raw = await this.connect(opening());
    await until(() => this.links.length > before);
    return raw;
  }
}

const opening = (header: string | null = null): string =>
  [
    "GET /ayder/raft HTTP/1.1",
    "Host: a",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    ...(header === null ? [] : [`${ADMISSION_HEADER}: ${header}`]),
    "\r\n",
  ].join("\r\n");

class Raw {
  received = "";
  isClosed = false;
  #socket: Bun.Socket<undefined> | null = null;
  #rest = 0;

  async open(port: number): Promise<void> {
    this.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_, chunk) => {
          this.received += chunk.toString("latin1");
        },
        drain: () => this.#zeros(),
        close: () => {
          this.isClosed = true;
        },
        error: () => {},
      },
    });
    cleanups.push(() => this.#socket?.terminate());
  }

  write(bytes: string | Uint8Array): void {
    this.#socket?.write(bytes);
  }

  /** A masked binary frame of zeros, with a mask of zeros. @param sent of its bytes. */
  frame(length: number, sent = length): void {
    const bytes = new DataView(new ArrayBuffer(14));
    bytes.setUint8(0, 0x82);
    bytes.setUint8(1, 0xff);
    bytes.setBigUint64(2, BigInt(length));
    this.write(new Uint8Array(bytes.buffer));
    this.#rest = sent;
    this.#zeros();
  }

  #zeros(): void {
    while (this.#rest > 0) {
      const chunk = new Uint8Array(Math.min(this.#rest, MIB));
      const sent = this.#socket?.write(chunk) ?? -1;
      this.#rest -= Math.max(0, sent);
      if (sent < chunk.length) return;
    }
  }
}

const LOCAL = "127.0.0.1";
const onLinux = test.skipIf(process.platform !== "linux");

onLinux(
  "a frame that is too long for a handshake ends an unverified link before it is whole",
  async () => {
    const port = new Port();
    const raw = await port.link();
    raw.frame(30 * MIB, 8 * MIB);
    await until(() => raw.isClosed);
    expect(port.refused).toEqual([`too_long ${LOCAL}`]);
    await until(() => port.events.length > 0);
    expect(port.events[0]).toStartWith("0 closed");
    const short = await port.link();
    short.frame(PLACE.unverifiedBytesMax);
    await until(() => port.events.includes(`1 frame ${PLACE.unverifiedBytesMax}`));
    expect(short.isClosed).toBe(false);
  },
);

onLinux("a verified link may send large frames", async () => {
  const port = new Port();
  const raw = await port.link();
  port.links[0]?.verified();
  expect(port.network.unverifiedLinks).toBe(0);
  raw.frame(8 * MIB);
  await until(() => port.events.includes(`0 frame ${8 * MIB}`));
  raw.frame(PLACE.frameBytesMax + 1, 0);
  await until(() => raw.isClosed);
  expect(port.refused).toEqual([]);
});

onLinux("connections that open no link in time are closed, whatever they send", async () => {
  const port = new Port({ openingMs: 300 });
  const raws = [
    await port.connect("G"),
    await port.connect("GET /ayder/raft HTTP/1.1\r\nUpgrade: websocket\r\n"),
    // The kernel hands over a connection that says nothing after a while.
    await port.connect(),
  ];
  const opened = await port.link();
  const drip = setInterval(() => raws[1]?.write("a: b\r\n"), 50);
  cleanups.push(() => clearInterval(drip));
  await until(() => raws.every(({ isClosed }) => isClosed));
  expect(port.refused).toEqual(Array(3).fill(`timeout ${LOCAL}`));
  // How long a peer with a link may take to say who it is, is for the transport to decide.
  expect(opened.isClosed).toBe(false);
});

onLinux("of too many connections without a link the oldest are closed", async () => {
  const port = new Port({ unverifiedMax: 4 });
  const linked = await port.link();
  const early = [await port.connect("G"), await port.connect("G"), await port.connect("G")];
  await Bun.sleep(1_500);
  const late = [await port.connect("G"), await port.connect("G"), await port.connect("G")];
  await until(() => port.refused.length === 2);
  await until(() => early.filter(({ isClosed }) => isClosed).length === 2);
  expect(late.map(({ isClosed }) => isClosed)).toEqual([false, false, false]);
  expect(port.refused).toEqual(Array(2).fill(`too_many ${LOCAL}`));
  expect(linked.isClosed).toBe(false);
});

test("of too many unverified links the oldest is closed, and verified ones do not count", async () => {
  const port = new Port({ unverifiedMax: 4 });
  const verified = await port.link();
  port.links[0]?.verified();
  const raws: Raw[] = [];
  for (let i = 0; i < 7; i++) raws.push(await port.link());
  await until(() => raws.filter(({ isClosed }) => isClosed).length === 3);
  expect(raws.map(({ isClosed }) => isClosed)).toEqual([
    ...[true, true, true],
    ...[false, false, false, false],
  ]);
  expect(port.refused).toEqual(Array(3).fill(`too_many ${LOCAL}`));
  expect(port.events).toEqual([1, 2, 3].map((at) => `${at} closed too_many`));
  expect([verified.isClosed, port.network.unverifiedLinks]).toEqual([false, 4]);
});

const SECRETS = ["0123456789abcdef0123456789abcdef", "another secret of the cluster"];

test("with a secret, a link is opened only for a request that proves it, and once", async () => {
  const port = new Port({ admission: admissionOf(A, SECRETS) });
  const good = admissionOf(B, [SECRETS[1] ?? ""]).prove(A);
  const wrong: Record<string, string | null> = {
    "no header": null,
    "an empty one": "",
    "another secret": admissionOf(B, ["yet another secret"]).prove(A),
    "for another node": admissionOf(B, SECRETS).prove(B),
    "another nonce": `${"0".repeat(64)}${good.slice(64)}`,
    "cut short": good.slice(0, -2),
    "upper case": good.toUpperCase(),
    zeros: `${"0".repeat(64)}.${"0".repeat(64)}`,
  };
  for (const [what, header] of Object.entries(wrong)) {
    const raw = await port.connect(opening(header));
    await until(() => raw.isClosed);
    expect(raw.received, what).toStartWith("HTTP/1.1 403 Forbidden\r\n");
  }
  expect(port.links).toEqual([]);
  expect(port.refused).toEqual(Object.keys(wrong).map(() => `not_proven ${LOCAL}`));
  const opened = await port.connect(opening(good));
  await until(() => port.links.length === 1);
  const again = await port.connect(opening(good));
  await until(() => again.isClosed);
  expect([opened.isClosed, port.links.length]).toEqual([false, 1]);
});

test("nodes with the secret link; while it is optional, others do too", async () => {
  const dial = async (to: Port, admission: LinkAdmission | null): Promise<string> => {
    const network = new BunNetwork({ ...PLACE, admission });
    cleanups.push(() => network.close());
    const told: string[] = [];
    network.dial(
      { id: A, host: "127.0.0.1", port: to.network.port },
      {
        opened: () => told.push("opened"),
        frame: () => {},
        closed: () => told.push("closed"),
      },
    );
    await until(() => told.length > 0);
    return told[0] ?? "";
  };
  const required = new Port({ admission: admissionOf(A, SECRETS) });
  const optional = new Port({ admission: admissionOf(A, SECRETS, true) });
  const open = new Port();
  for (const secret of SECRETS) {
    expect(await dial(required, admissionOf(B, [secret]))).toBe("opened");
  }
  expect(await dial(required, admissionOf(B, SECRETS, true))).toBe("opened");
  expect(await dial(required, null)).toBe("closed");
  expect(await dial(required, admissionOf(B, ["yet another secret"]))).toBe("closed");
  expect(await dial(optional, null)).toBe("opened");
  expect(await dial(optional, admissionOf(B, SECRETS))).toBe("opened");
  expect(await dial(open, admissionOf(B, SECRETS))).toBe("opened");
});
