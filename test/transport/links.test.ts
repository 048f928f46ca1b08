/** Single links in simulated time: what hostile ends, silence and full queues do to them. */
import { expect, test } from "bun:test";
import type { Link } from "../../src/env/network.ts";
import type { ByteWriter } from "../../src/lib/bytes.ts";
import { type NodeId, SHARD_0 } from "../../src/lib/ids.ts";
import type { LogIndex, Message, Term } from "../../src/raft/types.ts";
import {
  decodeFrame,
  type FrameAddress,
  type FrameKind,
  FrameWriter,
  NO_SESSION,
  readPayload,
} from "../../src/transport/envelope.ts";
import {
  encodeStatement,
  type Hello,
  type MembershipInfo,
  PROTOCOL_VERSION,
  type RefusalCode,
  readChallenge,
  readHello,
  readRefusal,
  readWelcome,
  sessionOf,
  writeChallenge,
  writeHello,
  writeWelcome,
} from "../../src/transport/handshake-codec.ts";
import { addMessage, beginMessages, endMessages } from "../../src/transport/raft-payload.ts";
import { Random } from "../tools/random.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";
import { MemoryWorld } from "../tools/transport/memory-network.ts";
import { MemoryNode } from "../tools/transport/memory-nodes.ts";

const newWorld = (): MemoryWorld => new MemoryWorld(new SimClock(), new Random(1));
const SHAKING: FrameAddress = { shard: SHARD_0, session: NO_SESSION };
const WORDS: Omit<Hello, "proof" | "acceptorNonce"> = {
  protocol: PROTOCOL_VERSION,
  from: "b" as NodeId,
  to: "a" as NodeId,
  clusterId: "cluster",
  storageId: "disk of b",
  membershipInfo: { membershipVersion: 0, address: null },
  diallerNonce: new Uint8Array(32).fill(7),
};
const at = (membershipVersion: number): MembershipInfo => ({
  membershipVersion,
  address: { host: "z", port: 7000 },
});
const heartbeat = (round: number, from = "b", to = "a"): Message => ({
  type: "heartbeat",
  from: from as NodeId,
  to: to as NodeId,
  term: 1 as Term,
  commit: 0 as LogIndex,
  round,
});

/** Speaks the protocol by hand. */
class Hand {
  readonly frames: Uint8Array[] = [];
  readonly sent: Uint8Array[] = [];
  closed = false;
  readonly link: Link;
  readonly #world: MemoryWorld;
  readonly #writer = new FrameWriter();
  address: FrameAddress = SHAKING;

  constructor(world: MemoryWorld, to = "a") {
    this.#world = world;
    this.link = world.network("hand").dial(
      { id: to as NodeId, host: to, port: 7000 },
      {
        opened: () => {},
        frame: (bytes) => this.frames.push(bytes),
        closed: () => {
          this.closed = true;
        },
      },
    );
  }

  async send(kind: FrameKind, write: (writer: ByteWriter) => void): Promise<void> {
    write(this.#writer.begin(kind));
    await this.raw(this.#writer.finish(this.address).slice());
  }

  async raw(bytes: Uint8Array): Promise<void> {
    this.sent.push(bytes);
    this.link.send(bytes);
    await this.#world.clock.advance(20);
  }

  /** Answers the challenge. @returns the refusal, or null if welcome. */
  async shake(changes: Partial<Hello> = {}): Promise<RefusalCode | null> {
    await this.#world.clock.advance(20);
    const challenge = decodeFrame(this.frames[0] ?? new Uint8Array(0), SHAKING);
    const { nonce } = readPayload(challenge.payload, readChallenge);
    const hello: Hello = { ...WORDS, acceptorNonce: nonce, proof: null, ...changes };
    await this.send("hello", (writer) => writeHello(writer, hello));
    const answer = decodeFrame(this.frames[1] ?? new Uint8Array(0), SHAKING);
    if (answer.kind === "refusal") return readPayload(answer.payload, readRefusal);
    expect(readPayload(answer.payload, readWelcome).from).toBe("a" as NodeId);
    this.address = {
      shard: SHARD_0,
      session: sessionOf(encodeStatement(hello, SHARD_0, new Uint8Array(0))),
    };
    return null;
  }

  messages(...messages: Message[]): Promise<void> {
    return this.send("raft", (writer) => {
      const at = beginMessages(writer);
      for (const message of messages) addMessage(writer, message);
      endMessages(writer, at, messages.length);
    });
  }
}

function nodeWithPeer(world: MemoryWorld): MemoryNode {
  const a = new MemoryNode(world, "a");
  a.meet({ id: "b" as NodeId });
  return a;
}

test("a hello by hand is welcome, and what follows is heard", async () => {
  const world = newWorld();
  const a = nodeWithPeer(world);
  const hand = new Hand(world);
  expect(await hand.shake()).toBeNull();
  await hand.messages(heartbeat(1), heartbeat(2));
  expect(a.received).toEqual([heartbeat(1), heartbeat(2)]);
});

const REFUSED: readonly (readonly [RefusalCode, Partial<Hello>])[] = [
  ["protocol", { protocol: 1 }],
  ["own_id", { from: "a" as NodeId }],
  ["unknown_peer", { from: "z" as NodeId }],
  ["wrong_destination", { to: "b" as NodeId }],
  ["wrong_cluster", { clusterId: "other" }],
  ["stale_handshake", { acceptorNonce: new Uint8Array(32) }],
];
for (const [code, changes] of REFUSED) {
  test(`a hello is refused with ${code}, and the link ends`, async () => {
    const world = newWorld();
    const a = nodeWithPeer(world);
    const hand = new Hand(world);
    expect(await hand.shake(changes)).toBe(code);
    await hand.messages(heartbeat(1));
    expect(hand.closed).toBe(true);
    expect(a.received).toEqual([]);
    expect(a.transport.stats().refused.get(code)).toBe(1);
  });
}

const JOINED: Partial<Hello> = {
  from: "z" as NodeId,
  membershipInfo: { membershipVersion: 8, address: { host: "z", port: 7000 } },
};

test("who joined while this node lagged is let in, dialled back, and kept until it is known", async () => {
  const world = newWorld();
  const z = new MemoryNode(
    world,
    "z",
    {},
    { membershipVersion: 8, address: { host: "z", port: 7000 } },
  );
  const membershipInfo = { membershipVersion: 7, address: { host: "a", port: 7000 } };
  const a = new MemoryNode(world, "a", {}, membershipInfo);
  a.meet({ id: "b" as NodeId });
  z.meet(a);
  await world.clock.advance(200);
  expect(
    [a, z].map(({ transport }) => transport.isUp(a.transport === transport ? z.id : a.id)),
  ).toEqual([true, true]);
  z.transport.send([heartbeat(1, "z")]);
  a.transport.send([heartbeat(2, "a", "z")]);
  await world.clock.advance(200);
  expect([a.received, z.received]).toEqual([[heartbeat(1, "z")], [heartbeat(2, "a", "z")]]);
  a.meet({ id: "b" as NodeId });
  expect(a.transport.isUp(z.id)).toBe(true);
  // This node has caught up, and the one that it accepted is not a member by what it knows now.
  membershipInfo.membershipVersion = 8;
  a.meet({ id: "b" as NodeId });
  expect(a.transport.isUp(z.id)).toBe(false);
  await world.clock.advance(500);
  expect(a.transport.stats().refused.get("unknown_peer")).toBeGreaterThan(0);
  // The other one is told so, until it is let in again.
  expect(z.transport.isUnknownAt(a.id)).toBe(true);
  a.meet({ id: "b" as NodeId }, { id: "z" as NodeId });
  await world.clock.advance(2000);
  expect([z.transport.isUp(a.id), z.transport.isUnknownAt(a.id)]).toEqual([true, false]);
});

const NOT_NEWER: readonly (readonly [string, RefusalCode, Partial<Hello>])[] = [
  ["knows no newer membership: it was removed", "unknown_peer", { membershipInfo: { ...at(7) } }],
  [
    "is no member by what it knows",
    "unknown_peer",
    { membershipInfo: { membershipVersion: 8, address: null } },
  ],
  [
    "has an empty disk",
    "unknown_peer",
    { membershipInfo: { membershipVersion: 0, address: null }, clusterId: null },
  ],
  ["does not prove its cluster", "unknown_peer", { clusterId: null }],
  ["is of another cluster", "unknown_peer", { clusterId: "other" }],
];
for (const [what, code, changes] of NOT_NEWER) {
  test(`a stranger stays out if it ${what}`, async () => {
    const world = newWorld();
    const a = new MemoryNode(world, "a", {}, at(7));
    a.meet({ id: "b" as NodeId });
    const hand = new Hand(world);
    expect(await hand.shake({ ...JOINED, ...changes })).toBe(code);
    expect(a.transport.stats().peers.length).toBe(1);
  });
}

test("strangers that are let in are few", async () => {
  const world = newWorld();
  const a = new MemoryNode(world, "a", {}, at(7));
  a.meet({ id: "b" as NodeId });
  const answers: (RefusalCode | null)[] = [];
  for (let i = 0; i < 20; i++) {
    answers.push(await new Hand(world).shake({ ...JOINED, from: `z${i}` as NodeId }));
  }
  expect(answers).toEqual([...Array(16).fill(null), ...Array(4).fill("unknown_peer")]);
});

test("a former disk of a member is refused", async () => {
  const world = newWorld();
  nodeWithPeer(world);
  expect(await new Hand(world).shake({ storageId: "one" })).toBeNull();
  expect(await new Hand(world).shake({ storageId: "two" })).toBeNull();
  expect(await new Hand(world).shake({ storageId: "two" })).toBeNull();
  expect(await new Hand(world).shake({ storageId: "one" })).toBe("old_incarnation");
});

test("what was recorded on one link is refused on another", async () => {
  const world = newWorld();
  const a = nodeWithPeer(world);
  const first = new Hand(world);
  await first.shake();
  await first.messages(heartbeat(1));
  const [hello, captured] = first.sent as [Uint8Array, Uint8Array];
  const replayed = new Hand(world);
  await world.clock.advance(20);
  await replayed.raw(hello);
  expect(a.transport.stats().refused.get("stale_handshake")).toBe(1);
  const second = new Hand(world);
  await second.shake({ diallerNonce: new Uint8Array(32).fill(8) });
  await second.raw(captured);
  expect([a.received.length, second.closed]).toEqual([1, true]);
  expect(a.transport.stats().malformed.get("session")).toBe(1);
});

test("the newest link of a peer is the one that counts", async () => {
  const world = newWorld();
  const a = nodeWithPeer(world);
  const hands = [new Hand(world), new Hand(world)];
  for (const hand of hands) await hand.shake();
  await world.clock.advance(20);
  expect(hands.map((hand) => hand.closed)).toEqual([true, false]);
  await hands[1]?.messages(heartbeat(1));
  expect(a.received.length).toBe(1);
  expect(a.transport.stats().peers[0]?.heard).toBe(true);
});

const HOSTILE: Readonly<Record<string, (hand: Hand) => Promise<void>>> = {
  too_short: (hand) => hand.raw(new Uint8Array(3)),
  version: (hand) => hand.raw(new Uint8Array(100)),
  header_checksum: (hand) => hand.raw(new Uint8Array(100).fill(1)),
  sender: (hand) => hand.messages(heartbeat(1), heartbeat(2, "c")),
  payload: (hand) => hand.send("raft", (writer) => writer.raw(new Uint8Array(40).fill(255))),
  unexpected: (hand) => hand.send("welcome", (writer) => writer.u8(1)),
};
for (const [code, act] of Object.entries(HOSTILE)) {
  test(`a frame with a wrong ${code} drops its link, is counted, and nothing of it is heard`, async () => {
    const world = newWorld();
    const a = nodeWithPeer(world);
    for (const shaken of [true, false]) {
      const hand = new Hand(world);
      if (shaken) await hand.shake();
      else await world.clock.advance(20);
      await act(hand);
      await world.clock.advance(20);
      expect(hand.closed).toBe(true);
    }
    expect(a.received).toEqual([]);
    expect(a.transport.stats().malformed.get(code)).toBeGreaterThan(0);
    // All goes on.
    const good = new Hand(world);
    await good.shake();
    await good.messages(heartbeat(3));
    expect(a.received).toEqual([heartbeat(3)]);
  });
}

test("before the handshake nothing large is looked at, and nobody may stay silent", async () => {
  const world = newWorld();
  const a = nodeWithPeer(world);
  const large = new Hand(world);
  await world.clock.advance(20);
  await large.send("hello", (writer) => writer.raw(new Uint8Array(200_000)));
  await world.clock.advance(20);
  expect(large.closed).toBe(true);
  expect(a.transport.stats().malformed.get("length")).toBe(1);
  const silent = new Hand(world);
  await world.clock.advance(10_000);
  expect(silent.closed).toBe(true);
  expect(a.transport.stats().refused.get("timeout")).toBe(1);
});

test("links that say nothing are few: the oldest makes room", async () => {
  const world = newWorld();
  const a = nodeWithPeer(world);
  const hands = Array.from({ length: 22 }, () => new Hand(world));
  await world.clock.advance(100);
  expect(hands.filter((hand) => !hand.closed).length).toBe(16);
  expect(a.transport.stats().refused.get("too_many")).toBe(6);
  const good = new Hand(world);
  expect(await good.shake()).toBeNull();
});

/** A listener by hand: what a node that dials it is told. */
async function dialled(
  answer: (hello: Hello, writer: FrameWriter) => Uint8Array,
  challenge = { protocol: PROTOCOL_VERSION, nonce: new Uint8Array(32) },
): Promise<MemoryNode> {
  const world = newWorld();
  world.network("b").listen((link) => {
    const writer = new FrameWriter();
    writeChallenge(writer.begin("challenge"), challenge);
    link.send(writer.finish(SHAKING));
    let hasShaken = false;
    return {
      frame: (bytes) => {
        // Pings of a link that is up are left unanswered.
        if (hasShaken) return;
        hasShaken = true;
        const { payload } = decodeFrame(bytes, SHAKING);
        link.send(answer(readPayload(payload, readHello), writer));
      },
      closed: () => {},
    };
  });
  const a = nodeWithPeer(world);
  await world.clock.advance(200);
  return a;
}

const welcome =
  (changes: object) =>
  (hello: Hello, writer: FrameWriter): Uint8Array => {
    const { diallerNonce } = hello;
    const membershipInfo = WORDS.membershipInfo;
    const who = { from: "b" as NodeId, clusterId: "cluster", storageId: "i" };
    const words = { ...who, membershipInfo, diallerNonce };
    writeWelcome(writer.begin("welcome"), { ...words, ...changes });
    return writer.finish(SHAKING).slice();
  };

test("who dials, too, makes sure whom it has reached", async () => {
  const reached = await dialled(welcome({}));
  expect(reached.transport.isUp("b" as NodeId)).toBe(true);
  const wrong: readonly (readonly [string, object])[] = [
    ["wrong_destination", { from: "c" }],
    ["wrong_cluster", { clusterId: "other" }],
    ["stale_handshake", { diallerNonce: new Uint8Array(32) }],
  ];
  for (const [code, changes] of wrong) {
    const a = await dialled(welcome(changes));
    expect(a.transport.stats().failed.get(code)).toBeGreaterThan(0);
    expect(a.transport.stats().peers[0]?.connects).toBe(0);
  }
  const newer = await dialled(welcome({}), {
    protocol: PROTOCOL_VERSION + 1,
    nonce: new Uint8Array(32),
  });
  expect(newer.transport.stats().failed.get("protocol")).toBeGreaterThan(0);
  const noise = await dialled(() => new Uint8Array(50));
  expect(noise.transport.stats().malformed.get("version")).toBeGreaterThan(0);
});

test("a link on which nobody answers is given up, and made again when the network heals", async () => {
  const world = newWorld();
  const [a, b] = [new MemoryNode(world, "a"), new MemoryNode(world, "b")];
  a.meet(b);
  b.meet(a);
  await world.clock.advance(100);
  expect([a.transport.isUp(b.id), b.transport.isUp(a.id)]).toEqual([true, true]);
  world.silence("a", "b");
  await world.clock.advance(10_000);
  expect([a.transport.isUp(b.id), b.transport.isUp(a.id)]).toEqual([false, false]);
  expect(a.unreachable).toEqual([b.id]);
  expect(a.transport.stats().failed.get("silent")).toBe(1);
  await world.clock.advance(60_000);
  world.heal();
  await world.clock.advance(10_000);
  expect([a.transport.isUp(b.id), b.transport.isUp(a.id)]).toEqual([true, true]);
});

test("dials grow rare while nobody is there, and stop with the transport", async () => {
  const world = newWorld();
  const a = nodeWithPeer(world);
  await world.clock.advance(60_000);
  const failures = a.transport.stats().failed.get("closed") ?? 0;
  // 50 ms, doubling to 2 s, each halved at most by chance: about 6, then one or two every 2 s.
  expect(failures).toBeGreaterThan(30);
  expect(failures).toBeLessThan(75);
  await a.transport.close();
  await world.clock.advance(60_000);
  expect(a.transport.stats().failed.get("closed")).toBe(failures);
  expect(world.clock.nextMs).toBeNull();
});

test("what waits for a slow peer is bounded: more is dropped, counted and reported", async () => {
  const world = newWorld();
  const limits = { queueBytesMax: 10_000, frameBytesTarget: 1000 };
  const [a, b] = [new MemoryNode(world, "a", limits), new MemoryNode(world, "b")];
  a.meet(b);
  b.meet(a);
  await world.clock.advance(100);
  const data = new Uint8Array(900);
  const append = (index: number): Message => ({
    type: "append_request",
    from: a.id,
    to: b.id,
    term: 1 as Term,
    prevIndex: (index - 1) as LogIndex,
    prevTerm: 1 as Term,
    commit: 0 as LogIndex,
    entries: [{ index: index as LogIndex, term: 1 as Term, type: "normal", data }],
  });
  a.transport.send(Array.from({ length: 30 }, (_, i) => append(i + 1)));
  expect(a.unreachable).toEqual([b.id]);
  const dropped = a.transport.stats().peers[0]?.messagesDropped ?? 0;
  expect(dropped).toBeGreaterThan(15);
  await world.clock.advance(100);
  expect(b.received.length).toBe(30 - dropped);
  a.transport.send([append(99)]);
  await world.clock.advance(100);
  expect(b.received.at(-1)).toMatchObject({ prevIndex: 98 });
});

test("a message larger than any frame is dropped and reported; those around it are not", async () => {
  const world = newWorld();
  const limits = { frameBytesMax: 2000, frameBytesTarget: 1000 };
  const [a, b] = [new MemoryNode(world, "a", limits), new MemoryNode(world, "b")];
  a.meet(b);
  b.meet(a);
  await world.clock.advance(100);
  const huge: Message = {
    type: "append_request",
    from: a.id,
    to: b.id,
    term: 1 as Term,
    prevIndex: 0 as LogIndex,
    prevTerm: 0 as Term,
    commit: 0 as LogIndex,
    entries: [
      { index: 1 as LogIndex, term: 1 as Term, type: "normal", data: new Uint8Array(3000) },
    ],
  };
  a.transport.send([heartbeat(1, "a", "b"), huge, heartbeat(2, "a", "b")]);
  await world.clock.advance(100);
  expect(b.received).toEqual([heartbeat(1, "a", "b"), heartbeat(2, "a", "b")]);
  expect(a.unreachable).toEqual([b.id]);
});

test("a frame that was spoilt on the way costs its link and nothing else", async () => {
  const world = newWorld();
  const [a, b] = [new MemoryNode(world, "a"), new MemoryNode(world, "b")];
  a.meet(b);
  b.meet(a);
  await world.clock.advance(100);
  world.tamper = (_, __, frame) =>
    frame.map((byte, i) => (i === frame.length - 1 ? byte ^ 1 : byte));
  a.transport.send([heartbeat(1, "a", "b")]);
  await world.clock.advance(20);
  world.tamper = (_, __, frame) => frame;
  expect(b.received).toEqual([]);
  expect(b.transport.stats().malformed.get("payload_checksum")).toBe(1);
  await world.clock.advance(1000);
  a.transport.send([heartbeat(2, "a", "b")]);
  await world.clock.advance(20);
  expect(b.received).toEqual([heartbeat(2, "a", "b")]);
});
