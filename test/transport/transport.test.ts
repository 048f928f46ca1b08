/** The transport over real sockets, without TLS. */
import { expect, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import type { Message } from "../../src/raft/types.ts";
import { allUp, append, heartbeat, TestNode, until, withNodes } from "./nodes.ts";

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
      met: (_, incarnation, changed) => {
        if (changed) changes.push(incarnation);
        return true;
      },
    },
  });
  const start = (incarnation: string, port: number): TestNode => {
    const node = new TestNode("b", { incarnation, port });
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
