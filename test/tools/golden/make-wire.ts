/**
 * `bun test/tools/golden/make-wire.ts VERSION`, at the commit of a release: writes what a node of
 * that release puts on the wire into `test/golden/VERSION/wire.json`. Node `b` is the one of that
 * release, node `a` the one that will be tested.
 */
import { join } from "node:path";
import { ByteWriter } from "../../../src/lib/bytes.ts";
import { type NodeId, SHARD_0 } from "../../../src/lib/ids.ts";
import { encodeMessage } from "../../../src/raft/codec.ts";
import type { LogIndex, Message, Term } from "../../../src/raft/types.ts";
import { FrameWriter } from "../../../src/transport/envelope.ts";
import {
  encodeStatement,
  sessionOf,
  writeChallenge,
  writeHello,
  writeRefusal,
  writeWelcome,
} from "../../../src/transport/handshake-codec.ts";
import { addMessage, beginMessages, endMessages } from "../../../src/transport/raft-payload.ts";
import { CommandLine } from "../arguments.ts";

const id = (name: string) => name as NodeId;
const index = (value: number) => value as LogIndex;
const term = (value: number) => value as Term;
const at = { from: id("b"), to: id("a"), term: term(7) };
const hint = { commit: index(5), commitTerm: term(2) };
const last = { lastIndex: index(9), lastTerm: term(6), transfer: true, ...hint };
const configuration = {
  voters: [id("a"), id("b")],
  votersOutgoing: [id("a"), id("d")],
  learners: [id("c")],
  learnersNext: [id("d")],
  autoLeave: true,
};
const entries = [
  { index: index(5), term: term(2), type: "normal", data: Uint8Array.of(1, 2, 3) },
  { index: index(6), term: term(7), type: "conf_change", data: new Uint8Array(0) },
] as const;

/** Every type of message, and an append that is refused. */
const messages: Message[] = [
  { type: "vote_request", ...at, ...last },
  { type: "pre_vote_request", ...at, ...last, transfer: false },
  { type: "vote_response", ...at, granted: true, ...hint },
  { type: "pre_vote_response", ...at, granted: false, ...hint },
  {
    type: "append_request",
    ...at,
    prevIndex: index(4),
    prevTerm: term(2),
    commit: index(3),
    entries,
  },
  { type: "append_response", ...at, accepted: true, match: index(2 ** 52) },
  {
    type: "append_response",
    ...at,
    accepted: false,
    rejected: index(9),
    hintIndex: index(4),
    hintTerm: term(1),
    lost: true,
  },
  { type: "heartbeat", ...at, commit: index(300), round: 2 ** 40 },
  { type: "heartbeat_response", ...at, round: 0 },
  { type: "snapshot_offer", ...at, snapshot: { index: index(3), term: term(7), configuration } },
  { type: "timeout_now", ...at },
  { type: "read_index_request", ...at, requestId: 77 },
  { type: "read_index_response", ...at, requestId: 77, index: index(8) },
  { type: "transfer_request", ...at, target: id("c") },
];

const nonce = (byte: number) => new Uint8Array(32).fill(byte);
const memberOf = (name: string) => ({
  membershipInfo: { membershipVersion: 12, address: { host: `10.0.0.${name}`, port: 7000 } },
});
const helloOf = (from: string, to: string) => ({
  protocol: 2,
  from: id(from),
  to: id(to),
  clusterId: "cluster",
  storageId: `disk of ${from}`,
  ...memberOf(from),
  acceptorNonce: nonce(0xaa),
  diallerNonce: nonce(0xdd),
});
const welcomeOf = (from: string) => ({
  from: id(from),
  clusterId: "cluster",
  storageId: `disk of ${from}`,
  ...memberOf(from),
  diallerNonce: nonce(0xdd),
});
const hex = (write: (writer: ByteWriter) => void): string => {
  const writer = new ByteWriter(4096);
  write(writer);
  return writer.take().toHex();
};
/** Bytes as hex, so that JSON keeps them. */
const plain = (value: unknown) =>
  JSON.parse(
    JSON.stringify(value, (_, each) => (each instanceof Uint8Array ? { hex: each.toHex() } : each)),
  );

const fromB = helloOf("b", "a");
const statement = encodeStatement(fromB, SHARD_0, new Uint8Array(0));
const writer = new FrameWriter();
const inFrame = writer.begin("raft");
const start = beginMessages(inFrame);
for (const message of messages) addMessage(inFrame, message);
endMessages(inFrame, start, messages.length);
const wire = {
  messages: messages.map((message) => ({
    bytes: encodeMessage(message).toHex(),
    means: plain(message),
  })),
  raftFrame: writer.finish({ shard: SHARD_0, session: sessionOf(statement) }).toHex(),
  challenge: hex((w) => writeChallenge(w, { protocol: 2, nonce: nonce(0xaa) })),
  helloFromB: hex((w) => writeHello(w, { ...fromB, proof: null })),
  helloFromA: hex((w) => writeHello(w, { ...helloOf("a", "b"), proof: null })),
  welcomeFromA: hex((w) => writeWelcome(w, welcomeOf("a"))),
  welcomeFromB: hex((w) => writeWelcome(w, welcomeOf("b"))),
  refusals: (
    [
      "protocol",
      "wrong_destination",
      "own_id",
      "unknown_peer",
      "wrong_cluster",
      "old_incarnation",
      "stale_handshake",
      "not_proven",
    ] as const
  ).map((code) => ({ bytes: hex((w) => writeRefusal(w, code)), means: code })),
  statement: statement.toHex(),
  session: sessionOf(statement),
};
const LINE = new CommandLine("usage: bun test/tools/golden/make-wire.ts VERSION [FILE]");
const [version = LINE.refused("the version is missing"), file] = LINE.read({}, 2).positionals;
const place = file ?? join(import.meta.dir, "../../golden", version, "wire.json");
await Bun.write(place, `${JSON.stringify(wire, null, 2)}\n`);
