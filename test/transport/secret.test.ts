/** The handshake accepts only nodes that share the secret, over real sockets. */
import { expect, test } from "bun:test";
import type { PeerSecret } from "../../src/env/network.ts";
import { SharedSecret } from "../../src/env/shared-secret.ts";
import { type NodeId, SHARD_0 } from "../../src/lib/ids.ts";
import { createLogger } from "../../src/metrics/log.ts";
import { FrameWriter, readPayload } from "../../src/transport/envelope.ts";
import {
  encodeAnswer,
  encodeStatement,
  type Hello,
  type MembershipInfo,
  PROTOCOL_VERSION,
  PROTOCOL_WITH_SECRET,
  type RefusalCode,
  readChallenge,
  readHello,
  readWelcome,
  writeHello,
} from "../../src/transport/handshake-codec.ts";
import {
  allUp,
  heartbeat,
  type NodeOptions,
  TestNode,
  until,
  withNodes,
} from "../tools/transport/nodes.ts";
import { RawPeer, SHAKING } from "../tools/transport/raw-peer.ts";

const NOTHING = new Uint8Array(0);
const SECRET = "0123456789abcdef0123456789abcdef";
const OTHER = "another secret of the same cluster";
const strict = (...secrets: string[]): PeerSecret => new SharedSecret(secrets, false);
const optional = (...secrets: string[]): PeerSecret => new SharedSecret(secrets, true);
const node = (id: string, secret: PeerSecret | null, options: NodeOptions = {}): TestNode =>
  new TestNode(id, { secret, ...options });
const B = { id: "b" as NodeId, host: "127.0.0.1", port: 1 };

/** A node `a` that knows `b`, which is not there. */
async function withVictim(
  body: (a: TestNode) => Promise<void>,
  secret: PeerSecret | null = strict(SECRET),
  options: NodeOptions = {},
): Promise<void> {
  const a = node("a", secret, options);
  try {
    a.transport.setPeers([B]);
    await body(a);
  } finally {
    await a.transport.close();
  }
}

const WORDS = {
  protocol: PROTOCOL_WITH_SECRET as number,
  from: "b" as NodeId,
  to: "a" as NodeId,
  clusterId: "cluster",
  storageId: "disk of b",
  membershipInfo: { membershipVersion: 0, address: null } as MembershipInfo,
  diallerNonce: new Uint8Array(32).fill(7),
};
type Words = Omit<Hello, "proof" | "secretProof">;

/** Dials, reads the challenge and answers it. */
async function greet(
  a: TestNode,
  changes: Partial<Words>,
  prove: (statement: Uint8Array, words: Words) => Uint8Array | undefined,
): Promise<{ peer: RawPeer; hello: Hello; statement: Uint8Array }> {
  const peer = new RawPeer(a.network.port);
  const challenge = await peer.next();
  const { nonce } = readPayload(challenge?.payload ?? NOTHING, readChallenge);
  const words: Words = { ...WORDS, acceptorNonce: nonce, ...changes };
  const statement = encodeStatement(words, SHARD_0, NOTHING);
  const secretProof = prove(statement, words);
  const hello: Hello = { ...words, proof: null, ...(secretProof ? { secretProof } : {}) };
  peer.send("hello", (writer) => writeHello(writer, hello));
  return { peer, hello, statement };
}

async function outcomeOf(
  a: TestNode,
  changes: Partial<Words>,
  prove: (statement: Uint8Array, words: Words) => Uint8Array | undefined,
): Promise<RefusalCode | "welcome" | "closed"> {
  const { peer } = await greet(a, changes, prove);
  const outcome = await peer.outcome();
  peer.close();
  return outcome;
}

const proving = (secret: string) => (statement: Uint8Array) =>
  strict(secret).prove("dialler", statement);

const KINDS: Readonly<Record<string, () => PeerSecret | null>> = {
  none: () => null,
  optional: () => optional(SECRET),
  strict: () => strict(SECRET),
  "old, new": () => strict(SECRET, OTHER),
  "new, old": () => strict(OTHER, SECRET),
  new: () => strict(OTHER),
};
const LINKED: readonly (readonly [string, string, boolean])[] = [
  ["none", "none", true],
  ["none", "optional", true],
  ["none", "strict", false],
  ["optional", "optional", true],
  ["optional", "strict", true],
  ["strict", "strict", true],
  ["strict", "old, new", true],
  ["old, new", "new, old", true],
  ["new, old", "new", true],
  ["strict", "new", false],
  ["optional", "new", false],
];
for (const [one, other, linked] of LINKED) {
  test(`secrets [${one}] and [${other}] ${linked ? "link, both ways" : "do not link, either way"}`, async () => {
    const nodes = [node("a", KINDS[one]?.() ?? null), node("b", KINDS[other]?.() ?? null)];
    const [a, b] = nodes as [TestNode, TestNode];
    await withNodes(nodes, async () => {
      if (linked) {
        await allUp(nodes);
        a.transport.send([heartbeat(a, b, 1)]);
        await until(() => b.received.length === 1);
        return;
      }
      const failures = (of: TestNode): number =>
        [...of.transport.stats().failed.values()].reduce((sum, count) => sum + count, 0);
      await until(() => failures(a) > 2 && failures(b) > 2);
      for (const each of nodes) {
        expect(each.transport.stats().peers[0]).toMatchObject({ connects: 0, heard: false });
      }
    });
  });
}

test("a hello with the right secret is welcome, and the welcome proves it too", () =>
  withVictim(async (a) => {
    const { peer, statement } = await greet(a, {}, proving(SECRET));
    const frame = await peer.next();
    expect(frame?.kind).toBe("welcome");
    const read = (bytes: Uint8Array) => readPayload(bytes, (reader) => readWelcome(reader, true));
    const welcome = read(frame?.payload ?? NOTHING);
    const answer = encodeAnswer(statement, welcome);
    const proof = welcome.secretProof ?? NOTHING;
    expect(strict(SECRET).accepts("acceptor", answer, proof)).toBe(true);
    expect(strict(OTHER).accepts("acceptor", answer, proof)).toBe(false);
    expect(strict(SECRET).accepts("dialler", answer, proof)).toBe(false);
    peer.close();
  }));

const WRONG: Readonly<Record<string, Parameters<typeof outcomeOf>[2]>> = {
  "another secret": proving(OTHER),
  "the empty secret's": proving(""),
  "the end of the acceptor": (statement) => strict(SECRET).prove("acceptor", statement),
  zeros: () => new Uint8Array(32),
};
for (const [what, prove] of Object.entries(WRONG)) {
  test(`a proof by ${what} is refused before anything else is looked at`, () =>
    withVictim(async (a) => {
      expect(await outcomeOf(a, {}, prove)).toBe("not_proven");
      // Neither does it tell who is known, nor which cluster this is.
      expect(await outcomeOf(a, { from: "z" as NodeId }, prove)).toBe("not_proven");
      expect(await outcomeOf(a, { clusterId: "other" }, prove)).toBe("not_proven");
      expect(await outcomeOf(a, { to: "c" as NodeId }, prove)).toBe("not_proven");
    }));
}

test("a hello without a proof is refused, as an earlier version would send it", () =>
  withVictim(async (a) => {
    const plain = { protocol: PROTOCOL_VERSION };
    expect(await outcomeOf(a, plain, () => undefined)).toBe("not_proven");
  }));

test("a proof is good for nothing but what it was made for", () =>
  withVictim(async (a) => {
    /** The hello has the usual words, the proof is over others. */
    const over = (changes: Partial<Words>) =>
      outcomeOf(a, {}, (_, words) =>
        proving(SECRET)(encodeStatement({ ...words, ...changes }, SHARD_0, NOTHING)),
      );
    expect(await over({})).toBe("welcome");
    const others: readonly Partial<Words>[] = [
      { from: "c" as NodeId },
      { to: "c" as NodeId },
      { clusterId: "other" },
      { storageId: "another disk" },
      { membershipInfo: { membershipVersion: 2 ** 50, address: null } },
      { membershipInfo: { membershipVersion: 0, address: { host: "10.0.0.1", port: 1 } } },
      { acceptorNonce: new Uint8Array(32) },
      { diallerNonce: new Uint8Array(32) },
    ];
    for (const changes of others) expect(await over(changes)).toBe("not_proven");
  }));

test("a handshake that was recorded is refused on every other link", () =>
  withVictim(async (a) => {
    const { peer, hello } = await greet(a, {}, proving(SECRET));
    expect(await peer.outcome()).toBe("welcome");
    const replay = new RawPeer(a.network.port);
    await replay.next();
    replay.send("hello", (writer) => writeHello(writer, hello));
    expect(await replay.outcome()).toBe("stale_handshake");
    for (const each of [peer, replay]) each.close();
  }));

/** Listens as `b`, with what comes there given to `mirror`. */
function listenAs(mirror: (kind: string, bytes: Uint8Array, socket: Bun.ServerWebSocket) => void) {
  return Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, server) => {
      server.upgrade(request, { data: undefined });
    },
    websocket: {
      open: (socket) => mirror("open", NOTHING, socket as Bun.ServerWebSocket),
      message: (socket, message) =>
        mirror("message", message as Buffer, socket as Bun.ServerWebSocket),
    },
  });
}

test("what a node says itself proves nothing when it is sent back", async () => {
  // The attacker has no secret. It lets `a` answer the challenge of `a`, and shows that to `a`.
  const a = node("a", strict(SECRET));
  const dialled = new RawPeer(a.network.port);
  const challenge = (await dialled.nextBytes()) ?? NOTHING;
  const mirror = listenAs((kind, bytes, socket) => {
    if (kind === "open") socket.send(challenge);
    else dialled.sendBytes(bytes);
  });
  a.transport.setPeers([{ ...B, port: mirror.port ?? 0 }]);
  expect(await dialled.outcome()).toBe("wrong_destination");
  expect(a.transport.stats().peers[0]).toMatchObject({ connects: 0, heard: false });
  await a.transport.close();
  await mirror.stop(true);
});

test("a node that is dialled has to prove the secret as well", async () => {
  const a = node("a", strict(SECRET));
  const answers = listenAs((kind, bytes, socket) => {
    const writer = new FrameWriter();
    if (kind === "open") {
      const payload = writer.begin("challenge");
      payload.u8(PROTOCOL_WITH_SECRET);
      payload.raw(new Uint8Array(32));
      socket.send(writer.finish(SHAKING));
      return;
    }
    // The proof of the dialler is sent back as that of the acceptor.
    const hello = readPayload(bytes.subarray(28), readHello);
    const payload = writer.begin("welcome");
    payload.text("b");
    payload.text("cluster");
    payload.text("disk of b");
    payload.u64(0);
    payload.text("");
    payload.u32(0);
    payload.raw(hello.diallerNonce);
    payload.raw(hello.secretProof ?? new Uint8Array(32));
    socket.send(writer.finish(SHAKING));
  });
  a.transport.setPeers([{ ...B, port: answers.port ?? 0 }]);
  await until(() => (a.transport.stats().failed.get("not_proven") ?? 0) > 1);
  expect(a.transport.stats().peers[0]?.connects).toBe(0);
  await a.transport.close();
  await answers.stop(true);
});

test("without secret and TLS nobody gets in by claiming a newer membership", async () => {
  const membershipInfo = { membershipVersion: 2 ** 50, address: { host: "127.0.0.1", port: 1 } };
  const stranger = { from: "z" as NodeId, membershipInfo };
  const plain = { ...stranger, protocol: PROTOCOL_VERSION };
  await withVictim(async (a) => {
    expect(await outcomeOf(a, plain, () => undefined)).toBe("unknown_peer");
    expect(a.transport.stats().peers.map(({ id }) => id)).toEqual([B.id]);
  }, null);
  await withVictim(async (a) => {
    expect(await outcomeOf(a, stranger, proving(SECRET))).toBe("welcome");
    expect(a.transport.stats().peers.map(({ id }) => id)).toEqual([B.id, "z" as NodeId]);
  });
});

test("handlers are told whether a peer has proven the secret", async () => {
  for (const [secret, expected] of [
    [null, false],
    [strict(SECRET), true],
    [optional(SECRET), false],
  ] as const) {
    const seen: boolean[] = [];
    const met = ({ proven }: { proven: boolean }) => {
      seen.push(proven);
      return true;
    };
    await withVictim(
      async (a) => {
        const prove = secret === null || secret.isOptional ? () => undefined : proving(SECRET);
        const protocol = prove(NOTHING) === undefined ? PROTOCOL_VERSION : PROTOCOL_WITH_SECRET;
        expect(await outcomeOf(a, { protocol }, prove)).toBe("welcome");
        expect(seen).toEqual([expected]);
      },
      secret,
      { handlers: { met } },
    );
  }
});

test("refused links are logged once and then counted, and nothing of a secret is in the log", async () => {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", write: (line) => lines.push(line), now: () => 0 });
  await withVictim(
    async (a) => {
      for (let i = 0; i < 20; i++) {
        expect(await outcomeOf(a, {}, proving(OTHER))).toBe("not_proven");
      }
      expect(a.transport.stats().refused.get("not_proven")).toBe(20);
      await until(
        () => lines.filter((line) => line.includes("peer connection refused")).length > 1,
      );
    },
    strict(SECRET),
    { log },
  );
  const refused = lines.filter((line) => line.includes("peer connection refused"));
  expect(refused[0]).toContain("code=not_proven");
  const counted = refused.slice(1).map((line) => Number(/ count=(\d+)/.exec(line)?.[1]));
  expect(counted.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(19);
  expect(lines.join("")).not.toContain(SECRET);
  expect(Bun.inspect(strict(SECRET), { depth: 10 })).not.toContain(SECRET);
});

test("unverified links are bounded: the oldest of the address that has most is ended", () =>
  withVictim(
    async (a) => {
      const flood = Array.from({ length: 8 }, () => new RawPeer(a.network.port));
      await until(() => (a.transport.stats().refused.get("too_many") ?? 0) >= 4);
      const ended = await Promise.all(
        flood.slice(0, 4).map(async (peer) => {
          await peer.next();
          return await peer.next();
        }),
      );
      expect(ended).toEqual([null, null, null, null]);
      for (const peer of flood) peer.close();
    },
    strict(SECRET),
    { limits: { pendingLinksMax: 4 } },
  ));

test("a link that says nothing is ended", () =>
  withVictim(
    async (a) => {
      const silent = new RawPeer(a.network.port);
      expect((await silent.next())?.kind).toBe("challenge");
      expect(await silent.next()).toBeNull();
      expect(a.transport.stats().refused.get("timeout")).toBe(1);
    },
    strict(SECRET),
    { limits: { handshakeTimeoutMs: 20 } },
  ));
