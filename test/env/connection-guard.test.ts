import { expect, test } from "bun:test";
import { ConnectionGuard, idlest } from "../../src/env/connection-guard.ts";
import { openTcpSockets, type TcpConnection } from "../../src/env/tcp-sockets.ts";

const API = 1109;
const RAFT = 7000;
const connection = (peerPort: number, changes: Partial<TcpConnection> = {}): TcpConnection => ({
  descriptor: peerPort,
  localPort: API,
  peerPort,
  remote: "127.0.0.1",
  sinceSentMs: 1_000,
  sinceReceivedMs: 1_000,
  bytesAcknowledged: 0,
  bytesReceived: 0,
  ...changes,
});
const chosen = (connections: readonly TcpConnection[], count: number, busy: readonly number[]) =>
  idlest(connections, count, { port: API, busy: new Set(busy) }).map(({ peerPort }) => peerPort);

test("the longest silent connections go first; those with a request under way stay", () => {
  const connections = [
    connection(1, { sinceSentMs: 5_000 }),
    connection(2, { sinceSentMs: 9_000 }),
    connection(3, { sinceSentMs: 90_000, bytesReceived: 10 }),
    // Sends a byte of its head now and then, and is answered nothing.
    connection(4, { sinceSentMs: 60_000, sinceReceivedMs: 500, bytesReceived: 80 }),
    // Has just said something that the server has not read.
    connection(5, { sinceSentMs: 70_000, sinceReceivedMs: 3, bytesReceived: 80 }),
  ];
  expect(chosen(connections, 2, [3])).toEqual([4, 2]);
  expect(chosen(connections, 9, [3])).toEqual([4, 2, 1, 5]);
  expect(chosen(connections, 9, [1, 2, 3, 4, 5])).toEqual([]);
});

test("on the port of the peers only connections that never said anything are closed", () => {
  const connections = [
    connection(1, { localPort: RAFT, bytesReceived: 4_000, sinceSentMs: 60_000 }),
    connection(2, { localPort: RAFT, sinceSentMs: 2_000 }),
  ];
  expect(chosen(connections, 9, [])).toEqual([2]);
});

test.skipIf(process.platform !== "linux")(
  "the kernel tells of connections, and the guard closes those beyond the bound",
  async () => {
    const held = Promise.withResolvers<Response>();
    using server = Bun.serve({ port: 0, reusePort: false, fetch: () => held.promise });
    const port = server.port ?? 0;
    const sockets = openTcpSockets(1024);
    if (sockets === null) throw new Error("no sockets");
    const busy = fetch(server.url);
    let ended = 0;
    const open = () =>
      Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: {
          // Half of a head: the kernel hands the connection over at once.
          open: (socket) => {
            socket.write("GET / HTTP/1.1\r\n");
          },
          data: () => undefined,
          close: () => {
            ended++;
          },
        },
      });
    await Promise.all(Array.from({ length: 12 }, open));
    while (sockets.connections([port]).length < 13) await Bun.sleep(5);
    const busyPorts = new Set(
      sockets
        .connections([port])
        .filter(({ bytesReceived }) => bytesReceived > 40)
        .map(({ peerPort }) => peerPort),
    );
    expect(busyPorts.size).toBe(1);
    expect(sockets.connections([port]).every(({ localPort }) => localPort === port)).toBeTrue();
    let closed = 0;
    const counts: number[] = [];
    const guard = new ConnectionGuard({
      sockets,
      port,
      peerPort: 0,
      connectionsMax: 4,
      busyPorts: () => busyPorts,
      counted: (connections) => {
        counts.push(connections);
      },
      closed: (count) => {
        closed += count;
      },
    });
    while (ended < 10) await Bun.sleep(10);
    guard.stop();
    expect(closed).toBe(10);
    // Another look may come before the guard stops.
    expect(counts[0]).toBe(13);
    while (sockets.connections([port]).length > 3) await Bun.sleep(5);
    held.resolve(new Response("still here"));
    expect(await (await busy).text()).toBe("still here");
  },
);
