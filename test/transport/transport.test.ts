/** The transport over real sockets, without TLS. */
import { expect, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import type { Message } from "../../src/raft/types.ts";
import { Random } from "../tools/random.ts";
import { MemorySink, makeSource } from "../tools/transport/memory-nodes.ts";
import {
  allUp,
  append,
  FRAME_BYTES_MAX,
  heartbeat,
  TestNode,
  until,
  withNodes,
} from "../tools/transport/nodes.ts";

const roundOf = (message: Message): number => (message.type === "heartbeat" ? message.round : -1);

test("messages arrive in the order in which they were sent", async () => {
  const [a, b] = [new TestNode("a"), new TestNode("b")];
  await withNodes([a, b], async () => {
    await allUp([a, b]);
    const count = 2000;
    for (let i = 0; i < count; i += 4) {
      a.transport.send([0, 1, 2, 3].map((k) => heartbeat(a, b, i + k)));
      b.transport.send([heartbeat(b, a, i)]);
    }
    await until(() => b.received.length === count && a.received.length === count / 4);
    expect(b.received.map(roundOf)).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(a.received.map(roundOf)).toEqual(Array.from({ length: count / 4 }, (_, i) => i * 4));
    expect(b.received[0]).toEqual(heartbeat(a, b, 0));
  });
});

test("three nodes reach each other, each message only whom it is for", async () => {
  const nodes = ["a", "b", "c"].map((id) => new TestNode(id));
  await withNodes(nodes, async () => {
    await allUp(nodes);
    for (const from of nodes) {
      const others = nodes.filter((node) => node !== from);
      from.transport.send(others.map((to) => heartbeat(from, to, 7)));
    }
    await until(() => nodes.every((node) => node.received.length === 2));
    for (const node of nodes) {
      const senders = nodes.filter((other) => other !== node).map((other) => other.id);
      expect(node.received.map((message) => message.from).sort()).toEqual(senders.sort());
      expect(node.received.every((message) => message.to === node.id)).toBe(true);
    }
  });
});

test("an entry of megabytes arrives whole, and what was received is not overwritten", async () => {
  const [a, b] = [new TestNode("a"), new TestNode("b")];
  await withNodes([a, b], async () => {
    await allUp([a, b]);
    const sizes = [16 * 1024 * 1024, 0, 1, 70_000, 3 * 1024 * 1024];
    const datas = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
    a.transport.send(datas.map((data, i) => append(a, b, i + 1, data)));
    await until(() => b.received.length === sizes.length);
    b.received.forEach((message, i) => {
      if (message.type !== "append_request") throw new Error("another message");
      const data = message.entries[0]?.data ?? new Uint8Array(0);
      expect(Buffer.compare(data, datas[i] ?? new Uint8Array(0))).toBe(0);
    });
  });
});

test("a message without a way is dropped, counted and reported, and never blocks", async () => {
  const [a, b] = [new TestNode("a"), new TestNode("b")];
  const { address } = b;
  await b.transport.close();
  await withNodes([a], async () => {
    a.transport.setPeers([address]);
    a.transport.send([heartbeat(a, b, 1), heartbeat(a, b, 2)]);
    expect(a.unreachable).toEqual([b.id]);
    expect(a.transport.stats().peers[0]?.messagesDropped).toBe(2);
  });
});

test("a peer that was killed is dialled until it is back", async () => {
  const a = new TestNode("a");
  let b = new TestNode("b");
  const { port } = b.address;
  await withNodes([a, b], async () => {
    for (let round = 1; round <= 3; round++) {
      await allUp([a, b]);
      a.transport.send([heartbeat(a, b, round)]);
      await until(() => b.received.length === 1);
      a.unreachable.length = 0;
      await b.transport.close();
      await until(() => !a.transport.isUp(b.id));
      expect(a.unreachable).toEqual([b.id]);
      b = new TestNode("b", { port });
      b.transport.setPeers([a.address]);
    }
    await allUp([a, b]);
    expect(a.transport.stats().peers[0]?.connects).toBe(4);
    await b.transport.close();
  });
});

test("a node with another disk is met anew, and its former disk does not come back", async () => {
  const changes: string[] = [];
  const a = new TestNode("a", {
    handlers: {
      met: ({ storageId, changed }) => {
        if (changed) changes.push(storageId);
        return true;
      },
    },
  });
  const start = (storageId: string, port: number): TestNode => {
    const node = new TestNode("b", { storageId, port });
    node.transport.setPeers([a.address]);
    return node;
  };
  await withNodes([a], async () => {
    const old = start("old disk", 0);
    a.transport.setPeers([old.address]);
    const { port } = old.address;
    await allUp([a, old]);
    await old.transport.close();
    const fresh = start("new disk", port);
    await allUp([a, fresh]);
    expect(changes).toContain("new disk");
    await fresh.transport.close();
    const ghost = start("old disk", port);
    await until(() => a.transport.stats().refused.get("old_incarnation") === 1);
    await until(() => a.transport.stats().failed.get("old_incarnation") === 1);
    expect(ghost.transport.isUp(a.id)).toBe(false);
    expect(a.transport.isUp(ghost.id)).toBe(false);
    await ghost.transport.close();
  });
});

test("who does not know its cluster learns it from a member, and tells others in turn", async () => {
  const a = new TestNode("a", { clusterId: "blue" });
  const b = new TestNode("b", { clusterId: null });
  const c = new TestNode("c", { clusterId: null });
  const nodes = [a, b, c];
  try {
    b.transport.setPeers([c.address]);
    c.transport.setPeers([b.address]);
    await allUp([b, c]);
    expect([b.transport.clusterId, c.transport.clusterId]).toEqual([null, null]);
    a.transport.setPeers([b.address]);
    b.transport.setPeers([a.address, c.address]);
    await until(() => c.transport.clusterId === "blue");
    expect([b.learnt, c.learnt, a.learnt]).toEqual([["blue"], ["blue"], []]);
    await allUp([b, c]);
    await allUp([a, b]);
  } finally {
    await Promise.all(nodes.map((node) => node.transport.close()));
  }
});

test("strangers are refused: other cluster, unknown id, own id, other destination", async () => {
  const a = new TestNode("a");
  const b = new TestNode("b");
  const other = new TestNode("b", { clusterId: "other" });
  const unknown = new TestNode("x");
  const twin = new TestNode("a");
  const lost = new TestNode("b");
  const strangers = [other, unknown, twin, lost];
  const refused = () => a.transport.stats().refused;
  await withNodes([a, b], async () => {
    await allUp([a, b]);
    other.transport.setPeers([a.address]);
    await until(() => (refused().get("wrong_cluster") ?? 0) > 0);
    unknown.transport.setPeers([a.address]);
    await until(() => (refused().get("unknown_peer") ?? 0) > 0);
    twin.transport.setPeers([{ ...a.address, id: "z" as NodeId }]);
    await until(() => (refused().get("wrong_destination") ?? 0) > 0);
    lost.transport.setPeers([{ ...a.address, id: "y" as NodeId }]);
    for (const stranger of strangers) {
      const to = stranger === twin ? "z" : stranger === lost ? "y" : "a";
      expect(stranger.transport.isUp(to as NodeId)).toBe(false);
    }
    expect(a.received).toEqual([]);
    await Promise.all(strangers.map((stranger) => stranger.transport.close()));
  });
});

test("a peer that is removed is neither heard nor sent to", async () => {
  const [a, b] = [new TestNode("a"), new TestNode("b")];
  await withNodes([a, b], async () => {
    await allUp([a, b]);
    a.transport.setPeers([]);
    await until(() => !b.transport.isUp(a.id));
    b.transport.send([heartbeat(b, a, 1)]);
    a.transport.send([heartbeat(a, b, 1)]);
    await until(() => (a.transport.stats().refused.get("unknown_peer") ?? 0) > 0);
    expect([a.received, b.received]).toEqual([[], []]);
    a.transport.setPeers([b.address]);
    await allUp([a, b]);
  });
});

test("pings measure the way", async () => {
  const [a, b] = [new TestNode("a"), new TestNode("b")];
  await withNodes([a, b], async () => {
    await until(() => a.transport.stats().peers[0]?.roundTripUs != null);
    expect(a.transport.stats().peers[0]?.roundTripUs).toBeGreaterThan(0);
  });
});

test("the Raft port answers nothing but links: plain HTTP gets 426 or 4xx", async () => {
  const a = new TestNode("a");
  await withNodes([a], async () => {
    const url = `http://127.0.0.1:${a.network.port}`;
    const upgrade = { connection: "upgrade", upgrade: "websocket" };
    const websocket = { ...upgrade, "sec-websocket-version": "13" };
    const key = { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
    const requests: readonly (readonly [string, RequestInit, number])[] = [
      ["/health", {}, 426],
      ["/broker/topics", { method: "POST", body: "{}" }, 413],
      ["/ayder/raft", {}, 426],
      ["/other", { headers: { ...websocket, ...key } }, 426],
      ["/ayder/raft", { headers: websocket }, 400],
      ["/ayder/raft", { headers: { ...websocket, ...key, origin: "http://x.example" } }, 403],
    ];
    for (const [path, init, status] of requests) {
      const response = await fetch(url + path, init);
      expect([path, response.status]).toEqual([path, status]);
    }
    expect(a.received).toEqual([]);
    // Bun itself refuses a body.
    expect([...a.transport.stats().refused]).toEqual([["not_a_peer", requests.length - 1]]);
  });
});

test("a node that dials a port of something else fails cleanly, again and again", async () => {
  const api = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("an API") });
  const mute = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const chat = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("")),
    websocket: { open: (socket) => void socket.send("hello there"), message() {} },
  });
  const a = new TestNode("a", { limits: { handshakeTimeoutMs: 50 } });
  const peers = [api.port, mute.port, chat.port].map((port, i) => ({
    id: `p${i}` as NodeId,
    host: "127.0.0.1",
    port: port ?? 0,
  }));
  await withNodes([a], async () => {
    a.transport.setPeers(peers);
    const { failed, malformed } = a.transport.stats();
    await until(() => (failed.get("closed") ?? 0) > 1 && (failed.get("timeout") ?? 0) > 1);
    await until(() => (malformed.get("too_short") ?? 0) > 1);
    expect(a.transport.stats().peers.map((peer) => peer.connects)).toEqual([0, 0, 0]);
  });
  await Promise.all([api.stop(true), chat.stop(true)]);
  mute.stop(true);
});

test("a frame above the limit ends its link, and the next one is made", async () => {
  const [a, b] = [new TestNode("a", { limits: { frameBytesMax: 2 ** 30 } }), new TestNode("b")];
  await withNodes([a, b], async () => {
    await allUp([a, b]);
    a.transport.send([append(a, b, 1, new Uint8Array(FRAME_BYTES_MAX + 1))]);
    await until(() => a.transport.stats().peers[0]?.connects === 2);
    await allUp([a, b]);
    a.transport.send([heartbeat(a, b, 1)]);
    await until(() => b.received.length > 0);
    expect(b.received).toEqual([heartbeat(a, b, 1)]);
  });
});

test("a peer that does not read fills the queue to its bound and no further", async () => {
  const a = new TestNode("a", { limits: { queueBytesMax: 8 * 1024 * 1024 } });
  const b = new TestNode("b");
  await withNodes([a, b], async () => {
    await allUp([a, b]);
    const data = new Uint8Array(1024 * 1024);
    // The loop stands still meanwhile, so nobody reads.
    for (let i = 1; i <= 64; i++) a.transport.send([append(a, b, i, data)]);
    const dropped = a.transport.stats().peers[0]?.messagesDropped ?? 0;
    expect(dropped).toBeGreaterThan(0);
    expect(a.unreachable.length).toBe(dropped);
    await until(() => b.received.length === 64 - dropped);
    a.transport.send([heartbeat(a, b, 1)]);
    await until(() => b.received.length === 65 - dropped);
  });
});

test("a snapshot of megabytes goes over real links, also when they are cut", async () => {
  const sink = new MemorySink();
  const a = new TestNode("a");
  const b = new TestNode("b", { handlers: { snapshots: sink } });
  await withNodes([a, b], async () => {
    await allUp([a, b]);
    const source = makeSource(new Random(1), [3 * 1024 * 1024, 0, 5_000_000]);
    const transfer = a.transport.sendSnapshot(b.id, source);
    await until(() => transfer.bytesConfirmed > 1024 * 1024);
    // Another address and back: the links go, the transfer does not.
    a.transport.setPeers([{ ...b.address, host: "localhost" }]);
    await until(() => transfer.bytesConfirmed > 2 * 1024 * 1024);
    expect(await transfer.result).toEqual({ ok: true });
    expect(sink.files.map((file) => Bun.hash(file))).toEqual(
      source.contents.map((content) => Bun.hash(content)),
    );
    expect(sink.bytesWritten).toBe(3 * 1024 * 1024 + 5_000_000);
  });
});

test("an address that is taken is refused at the start", async () => {
  const a = new TestNode("a");
  expect(() => new TestNode("b", { port: a.network.port })).toThrow();
  await a.transport.close();
});

test("each end of a link tells the level of the log that it knows", async () => {
  const levels = new Map<string, number[]>();
  const node = (id: string, level: number, more: object = {}) =>
    new TestNode(id, {
      level,
      ...more,
      handlers: {
        met: ({ peer, level: told }) => {
          levels.set(`${id} met ${peer}`, [...(levels.get(`${id} met ${peer}`) ?? []), told]);
          return true;
        },
      },
    });
  const nodes = [node("a", 3), node("b", 1), node("c", 0)];
  await withNodes(nodes, async () => {
    await allUp(nodes);
    await until(() => [...levels.values()].flat().length >= 12);
    for (const [id, level] of [
      ["a", 3],
      ["b", 1],
      ["c", 0],
    ] as const) {
      const told = [...levels].filter(([met]) => met.endsWith(`met ${id}`)).flatMap(([, l]) => l);
      expect(told).toEqual([level, level, level, level]);
    }
  });
});
