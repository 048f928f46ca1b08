/**
 * Goal: a node of each earlier release is understood as a peer. Method: its recorded bytes are
 * decoded; then a peer that has nothing but those bytes links with a node of this version, once as
 * the one that dials and once as the one that is dialled. The peer frames, sums and digests by
 * itself: nothing of this version's code is between the recorded bytes and the socket.
 */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { NodeId } from "../../src/lib/ids.ts";
import { decodeMessage, encodeMessage } from "../../src/raft/codec.ts";
import type { LogIndex, Term } from "../../src/raft/types.ts";
import { readPayload } from "../../src/transport/envelope.ts";
import { readRefusal } from "../../src/transport/handshake-codec.ts";
import { TestNode, until } from "../tools/transport/nodes.ts";
import { RawPeer } from "../tools/transport/raw-peer.ts";

type Recorded = { readonly bytes: string; readonly means: unknown };
type Wire = {
  readonly messages: readonly Recorded[];
  readonly raftFrame: string;
  readonly challenge: string;
  readonly helloFromA: string;
  readonly helloFromB: string;
  readonly welcomeFromA: string;
  readonly welcomeFromB: string;
  readonly refusals: readonly Recorded[];
  readonly statement: string;
  readonly session: { readonly low: number; readonly high: number };
};

const VERSIONS = readdirSync(import.meta.dir, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** The nonces of the recording, which each link replaces by its own. */
const ACCEPTOR = "aa".repeat(32);
const DIALLER = "dd".repeat(32);
const KIND = { challenge: 1, hello: 2, welcome: 3, ping: 5, pong: 6, raft: 16 } as const;
const HEADER_BYTES = 28;

/** A frame of version 1, by hand. @param session 8 bytes as hex; zero during the handshake. */
function frameOf(kind: number, payload: Uint8Array, session = "00".repeat(8)): Uint8Array {
  const frame = Buffer.alloc(HEADER_BYTES + payload.length);
  frame.writeUInt8(1, 0);
  frame.writeUInt8(kind, 1);
  frame.writeUInt32LE(payload.length, 8);
  frame.writeUInt32LE(Bun.hash.crc32(payload), 12);
  frame.write(session, 16, "hex");
  frame.writeUInt32LE(Bun.hash.crc32(frame.subarray(0, 24)), 24);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

const bytesOf = (hex: string) => Uint8Array.fromHex(hex);
const hexOf = (bytes: Uint8Array | null) =>
  bytes === null ? "" : Buffer.from(bytes).toString("hex");
/** Kind and payload of a frame that the node sent. */
const opened = (frame: Uint8Array | null) => ({
  kind: frame?.[1],
  payload: hexOf(frame?.subarray(HEADER_BYTES) ?? null),
});
/** Where `part` stands in `text`. */
const placeOf = (text: string, part: string): [number, number] => {
  const from = text.indexOf(part);
  return [from, from + part.length];
};
const sessionOf = (statement: string) =>
  createHash("sha256").update(bytesOf(statement)).digest("hex").slice(0, 16);

/** As JSON has it: bytes as hex. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: hexOf(value) };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)]));
}

/** A peer that waits for the node to dial. */
function listen(challenge: Uint8Array) {
  const frames: Uint8Array[] = [];
  let send: (frame: Uint8Array) => void = () => undefined;
  const server: Bun.Server<undefined> = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request): Response | undefined =>
      server.upgrade(request) ? undefined : new Response("no", { status: 404 }),
    websocket: {
      open: (socket) => {
        send = (frame) => void socket.sendBinary(frame);
        send(frameOf(KIND.challenge, challenge));
      },
      message: (_, frame) => void frames.push(Buffer.from(frame as Uint8Array)),
    },
  });
  return { frames, send: (frame: Uint8Array) => send(frame), server };
}

const SELF = { membershipVersion: 12, address: { host: "10.0.0.a", port: 7000 } };
const HEARTBEAT = {
  type: "heartbeat",
  from: "a" as NodeId,
  to: "b" as NodeId,
  term: 7 as Term,
  commit: 9 as LogIndex,
  round: 3,
} as const;
/** A number, which the answer repeats before the time in milliseconds. */
const PING = bytesOf("01020304");

for (const version of VERSIONS) {
  const wire: Wire = await Bun.file(join(import.meta.dir, version, "wire.json")).json();
  const meanings = wire.messages.map(({ means }) => means);

  test(`messages and refusals of ${version} are decoded, and written as they were`, () => {
    for (const { bytes, means } of wire.messages) {
      const message = decodeMessage(bytesOf(bytes));
      expect(plain(message)).toEqual(means);
      expect(hexOf(encodeMessage(message))).toBe(bytes);
    }
    for (const { bytes, means } of wire.refusals) {
      expect<unknown>(readPayload(bytesOf(bytes), readRefusal)).toBe(means);
    }
  });

  test(`a peer of ${version} dials, is welcome, and its messages arrive`, async () => {
    const node = new TestNode("a", { membershipInfo: SELF });
    node.transport.setPeers([{ id: "b" as NodeId, host: "127.0.0.1", port: 1 }]);
    const peer = new RawPeer(node.network.port);
    try {
      const { kind, payload } = opened(await peer.nextBytes());
      expect(kind).toBe(KIND.challenge);
      // Protocol 2 and 32 bytes of nonce.
      expect(payload).toMatch(/^02[0-9a-f]{64}$/);
      const nonce = payload.slice(2);
      peer.sendBytes(frameOf(KIND.hello, bytesOf(wire.helloFromB.replace(ACCEPTOR, nonce))));
      expect(opened(await peer.nextBytes())).toEqual({
        kind: KIND.welcome,
        payload: wire.welcomeFromA,
      });
      const session = sessionOf(wire.statement.replace(ACCEPTOR, nonce));
      const messages = bytesOf(wire.raftFrame).subarray(HEADER_BYTES);
      peer.sendBytes(frameOf(KIND.raft, messages, session));
      await until(() => node.received.length === meanings.length);
      expect(plain(node.received)).toEqual(meanings);
      peer.sendBytes(frameOf(KIND.ping, PING, session));
      const pong = opened(await peer.nextBytes());
      expect(pong.kind).toBe(KIND.pong);
      expect(pong.payload).toMatch(new RegExp(`^${hexOf(PING)}[0-9a-f]{16}$`));
    } finally {
      peer.close();
      await node.transport.close();
    }
  });

  test(`a peer of ${version} is dialled, and gets messages as it knows them`, async () => {
    const node = new TestNode("a", { membershipInfo: SELF });
    const { frames, send, server } = listen(bytesOf(wire.challenge));
    try {
      node.transport.setPeers([{ id: "b" as NodeId, host: "127.0.0.1", port: server.port ?? 0 }]);
      await until(() => frames.length > 0);
      const hello = opened(frames[0] ?? null);
      const nonce = hello.payload.slice(...placeOf(wire.helloFromA, DIALLER));
      expect(hello).toEqual({ kind: KIND.hello, payload: wire.helloFromA.replace(DIALLER, nonce) });
      send(frameOf(KIND.welcome, bytesOf(wire.welcomeFromB.replace(DIALLER, nonce))));
      await until(() => node.transport.isUp("b" as NodeId));
      node.transport.send([HEARTBEAT]);
      await until(() => frames.some((frame) => frame[1] === KIND.raft));
      const sent = frames.find((frame) => frame[1] === KIND.raft) ?? null;
      // One message: its count, then its length, then itself, as the recorded ones are framed.
      expect(opened(sent).payload).toEndWith(hexOf(encodeMessage(HEARTBEAT)));
      expect(hexOf(encodeMessage(HEARTBEAT))).toBe("0107016101620709" + "03");
    } finally {
      await node.transport.close();
      await server.stop(true);
    }
  });
}
