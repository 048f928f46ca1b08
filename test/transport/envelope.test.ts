import { expect, test } from "bun:test";
import { DecodeError } from "../../src/lib/bytes.ts";
import { crc32 } from "../../src/lib/crc32.ts";
import type { NodeId, ShardId } from "../../src/lib/ids.ts";
import { SHARD_0 } from "../../src/lib/ids.ts";
import type { LogIndex, Message, Term } from "../../src/raft/types.ts";
import {
  decodeFrame,
  FRAME_HEADER_BYTES,
  type FrameAddress,
  type FrameKind,
  FrameWriter,
  NO_SESSION,
  readPayload,
} from "../../src/transport/envelope.ts";
import { FrameError } from "../../src/transport/frame-error.ts";
import {
  encodeStatement,
  type Hello,
  readChallenge,
  readHello,
  readRefusal,
  readWelcome,
  sessionOf,
  writeChallenge,
  writeHello,
  writeRefusal,
  writeWelcome,
} from "../../src/transport/handshake-codec.ts";
import {
  addMessage,
  beginMessages,
  decodeMessages,
  endMessages,
  messageBytesMax,
} from "../../src/transport/raft-payload.ts";
import {
  readSnapshotBegin,
  readSnapshotChunk,
  readSnapshotFileEnd,
  readSnapshotStatus,
  writeSnapshotBegin,
  writeSnapshotChunk,
  writeSnapshotFileEnd,
  writeSnapshotStatus,
} from "../../src/transport/snapshot-codec.ts";
import { isSnapshotFileName } from "../../src/transport/snapshot-types.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const A = "a" as NodeId;
const B = "b" as NodeId;
const ADDRESS: FrameAddress = { shard: SHARD_0, session: { low: 7, high: 9 } };

const MESSAGES: readonly Message[] = [
  { type: "heartbeat", from: A, to: B, term: 4 as Term, commit: 9 as LogIndex, round: 3 },
  {
    type: "append_request",
    from: A,
    to: B,
    term: 4 as Term,
    prevIndex: 9 as LogIndex,
    prevTerm: 2 as Term,
    commit: 9 as LogIndex,
    entries: [
      { index: 10 as LogIndex, term: 3 as Term, type: "normal", data: new Uint8Array([1, 2, 3]) },
      { index: 11 as LogIndex, term: 4 as Term, type: "conf_change", data: new Uint8Array(0) },
    ],
  },
  { type: "timeout_now", from: A, to: B, term: 4 as Term },
];

function raftFrame(messages: readonly Message[], address = ADDRESS): Uint8Array {
  const writer = new FrameWriter();
  const payload = writer.begin("raft");
  const at = beginMessages(payload);
  for (const message of messages) addMessage(payload, message);
  endMessages(payload, at, messages.length);
  return writer.finish(address).slice();
}

/** Any bytes as the payload of a frame whose checksums are right. */
function forged(kind: FrameKind, payload: Uint8Array): Uint8Array {
  const writer = new FrameWriter();
  writer.begin(kind).raw(payload);
  return writer.finish(ADDRESS).slice();
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof FrameError) return error.code;
    throw error;
  }
  return "none";
}

test("messages come out of a frame as they went in", () => {
  const frame = decodeFrame(raftFrame(MESSAGES), ADDRESS);
  expect(frame.kind).toBe("raft");
  expect(decodeMessages(frame.payload, A, B)).toEqual([...MESSAGES]);
});

test("the first bytes of a frame stay as they are: nodes of other versions read them", () => {
  const frame = raftFrame([MESSAGES[2] as Message]);
  expect(Buffer.from(frame).toString("hex")).toBe(GOLDEN);
});
const GOLDEN = "01100000000000000b00000023587b420700000009000000e2249f5d01000000010a0161016204";

test("a writer makes frame after frame in one buffer, and gives a large one back", () => {
  const writer = new FrameWriter();
  for (const size of [10, FrameWriter.KEEP_BYTES * 2, 5, 0]) {
    writer.begin("ping").raw(new Uint8Array(size).fill(size & 255));
    const frame = decodeFrame(writer.finish(ADDRESS), ADDRESS);
    expect([frame.kind, frame.payload.length]).toEqual(["ping", size]);
  }
});

test("a frame of another link, shard, version, length or kind is refused by name", () => {
  const frame = raftFrame(MESSAGES);
  const other = { low: 8, high: 9 };
  expect(codeOf(() => decodeFrame(frame, { ...ADDRESS, session: other }))).toBe("session");
  expect(codeOf(() => decodeFrame(frame, { ...ADDRESS, session: NO_SESSION }))).toBe("session");
  expect(codeOf(() => decodeFrame(frame, { ...ADDRESS, shard: 1 as ShardId }))).toBe("shard");
  expect(codeOf(() => decodeFrame(frame.subarray(0, 27), ADDRESS))).toBe("too_short");
  expect(codeOf(() => decodeFrame(new Uint8Array(0), ADDRESS))).toBe("too_short");
  expect(codeOf(() => decodeFrame(frame.subarray(0, 40), ADDRESS))).toBe("length");
  expect(codeOf(() => decodeFrame(Buffer.concat([frame, frame]), ADDRESS))).toBe("length");
  const patched = (at: number, value: number): Uint8Array => {
    const bytes = frame.slice();
    const view = new DataView(bytes.buffer);
    view.setUint32(at, value, true);
    view.setUint32(24, crc32(bytes.subarray(0, 24)), true);
    return bytes;
  };
  expect(codeOf(() => decodeFrame(patched(0, 0x1002), ADDRESS))).toBe("version");
  expect(codeOf(() => decodeFrame(patched(0, 0xff01), ADDRESS))).toBe("kind");
  expect(codeOf(() => decodeFrame(patched(0, 0x11001), ADDRESS))).toBe("kind");
  for (const length of [0, 2 ** 32 - 1, 2 ** 31]) {
    expect(codeOf(() => decodeFrame(patched(8, length), ADDRESS))).toBe("length");
  }
  expect(codeOf(() => decodeFrame(patched(12, 1), ADDRESS))).toBe("payload_checksum");
});

test("no changed bit of a frame is overlooked", () => {
  const frame = raftFrame(MESSAGES);
  for (let bit = 0; bit < frame.length * 8; bit++) {
    const bytes = frame.slice();
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(codeOf(() => decodeFrame(bytes, ADDRESS))).not.toBe("none");
  }
});

test("a message of somebody else than the link's peer is refused with its whole frame", () => {
  const { payload } = decodeFrame(raftFrame(MESSAGES), ADDRESS);
  expect(codeOf(() => decodeMessages(payload, B, B))).toBe("sender");
  expect(codeOf(() => decodeMessages(payload, A, A))).toBe("sender");
});

test("hostile counts, and messages that contradict themselves, are refused", () => {
  const count = (value: number): Uint8Array => {
    const payload = decodeFrame(raftFrame(MESSAGES), ADDRESS).payload.slice();
    new DataView(payload.buffer).setUint32(0, value, true);
    return payload;
  };
  for (const value of [0, 1, 2, 4, 2 ** 31, 2 ** 32 - 1]) {
    expect(codeOf(() => decodeMessages(count(value), A, B))).toBe("payload");
  }
  expect(codeOf(() => decodeMessages(new Uint8Array(4), A, B))).toBe("payload");
  const append = MESSAGES[1] as Extract<Message, { type: "append_request" }>;
  const bad: Message[] = [
    { ...append, prevTerm: 4 as Term },
    { ...append, term: 3 as Term },
    { ...append, prevIndex: Number.MAX_SAFE_INTEGER as LogIndex },
    { ...append, entries: append.entries.toReversed() },
  ];
  for (const message of bad) {
    const { payload } = decodeFrame(raftFrame([message]), ADDRESS);
    expect(codeOf(() => decodeMessages(payload, A, B))).toBe("payload");
  }
});

test("what a message takes is not underestimated", () => {
  for (const message of MESSAGES) {
    expect(messageBytesMax(message)).toBeGreaterThan(raftFrame([message]).length);
  }
});

const HELLO: Hello = {
  protocol: 1,
  from: A,
  to: B,
  clusterId: "cluster",
  storageId: "disk",
  membershipInfo: { membershipVersion: 2 ** 40, address: { host: "10.0.0.1", port: 65_535 } },
  acceptorNonce: new Uint8Array(32).fill(1),
  diallerNonce: new Uint8Array(32).fill(2),
  proof: { certificates: [new Uint8Array([1]), new Uint8Array(300)], signature: new Uint8Array(9) },
};
const PLACE = { file: 1, position: 5, crc: 2 ** 32 - 1 };
const FILES = [
  { name: "checkpoint", length: 10 },
  { name: "partitions/1-0/00000000000000000000.seg", length: 0 },
];
const ID = "0011223344556677";

/** One of each payload, with who reads it. */
const PAYLOADS: readonly {
  write: (to: FrameWriter) => void;
  read: (payload: Uint8Array) => unknown;
}[] = [
  {
    write: (to) => writeHello(to.begin("hello"), HELLO),
    read: (payload) => readPayload(payload, readHello),
  },
  {
    write: (to) =>
      writeChallenge(to.begin("challenge"), { protocol: 1, nonce: HELLO.diallerNonce }),
    read: (payload) => readPayload(payload, readChallenge),
  },
  {
    write: (to) => writeWelcome(to.begin("welcome"), { ...HELLO, clusterId: null }),
    read: (payload) => readPayload(payload, readWelcome),
  },
  {
    write: (to) => writeRefusal(to.begin("refusal"), "wrong_cluster"),
    read: (payload) => readPayload(payload, readRefusal),
  },
  {
    write: (to) => {
      const meta = new Uint8Array([4, 5]);
      const begin = { id: ID, fresh: true, term: 5 as Term, meta, files: FILES };
      writeSnapshotBegin(to.begin("snapshot_begin"), begin);
    },
    read: (payload) => readPayload(payload, readSnapshotBegin),
  },
  {
    write: (to) =>
      writeSnapshotChunk(to.begin("snapshot_chunk"), {
        id: ID,
        file: 1,
        position: 3,
        bytes: new Uint8Array([9, 8]),
      }),
    read: (payload) => readPayload(payload, readSnapshotChunk),
  },
  {
    write: (to) =>
      writeSnapshotFileEnd(to.begin("snapshot_file_end"), { id: ID, file: 1, crc: 77 }),
    read: (payload) => readPayload(payload, readSnapshotFileEnd),
  },
  ...(["resume", "progress"] as const).map((state) => ({
    write: (to: FrameWriter) =>
      writeSnapshotStatus(to.begin("snapshot_status"), { id: ID, state, at: PLACE }),
    read: (payload: Uint8Array) => readPayload(payload, readSnapshotStatus),
  })),
  {
    write: (to) =>
      writeSnapshotStatus(to.begin("snapshot_status"), { id: ID, state: "failed", reason: "no" }),
    read: (payload) => readPayload(payload, readSnapshotStatus),
  },
  {
    write: (to) => {
      to.begin("raft").raw(decodeFrame(raftFrame(MESSAGES), ADDRESS).payload);
    },
    read: (payload) => decodeMessages(payload, A, B),
  },
];

test("what is written of each kind is read again", () => {
  const values = PAYLOADS.map(({ write, read }) => {
    const writer = new FrameWriter();
    write(writer);
    return read(decodeFrame(writer.finish(ADDRESS), ADDRESS).payload);
  });
  expect(values[0]).toEqual(HELLO);
  expect(values[2]).toMatchObject({ from: A, clusterId: null, storageId: "disk" });
  expect(values[3]).toBe("wrong_cluster");
  expect(values[4]).toMatchObject({ id: ID, fresh: true, term: 5, files: FILES });
  expect(values[5]).toMatchObject({ id: ID, file: 1, position: 3 });
  expect(values[7]).toEqual({ id: ID, state: "resume", at: PLACE });
  expect(values[9]).toEqual({ id: ID, state: "failed", reason: "no" });
});

function spoilt(bytes: readonly number[], random: Random): number[] {
  const at = random.below(bytes.length + 1);
  switch (random.below(5)) {
    case 0:
      return bytes.map((byte, i) => (i === at ? random.below(256) : byte));
    case 1:
      return bytes.toSpliced(at, 0, random.below(256));
    case 2:
      return bytes.toSpliced(at, 1 + random.below(4));
    case 3:
      return bytes.slice(0, at + 1);
    default:
      return bytes.toSpliced(at, 4, 255, 255, 255, 255);
  }
}

/**
 * Goal: no bytes, however signed with a right checksum, do more than a typed error. Method: payloads
 * of every kind, with bytes changed, inserted, removed and cut, put into frames anew.
 */
test("spoilt payloads of every kind end in a typed error or are well-formed", () => {
  forEachSeed(150, (random) => {
    for (const { write, read } of PAYLOADS) {
      const writer = new FrameWriter();
      write(writer);
      const valid = writer.finish(ADDRESS).slice(FRAME_HEADER_BYTES);
      let bytes = [...valid];
      for (let i = 0; i <= random.below(3); i++) bytes = spoilt(bytes, random);
      const { payload } = decodeFrame(forged("raft", new Uint8Array(bytes)), ADDRESS);
      const code = codeOf(() => read(payload));
      expect(["none", "payload", "sender"]).toContain(code);
    }
  });
});

test("an error that is no decoding error is not taken for one", () => {
  expect(() =>
    readPayload(new Uint8Array(1), () => {
      throw new RangeError("a bug");
    }),
  ).toThrow(RangeError);
  expect(codeOf(() => readPayload(new Uint8Array(2), (reader) => reader.u8()))).toBe("payload");
  const decode = () => {
    throw new DecodeError("bad");
  };
  expect(codeOf(() => readPayload(new Uint8Array(0), decode))).toBe("payload");
});

test("every part of the statement changes the session", () => {
  const print = new Uint8Array([1]);
  const base = encodeStatement(HELLO, SHARD_0, print);
  const flipped = HELLO.diallerNonce.map((byte) => byte ^ 1);
  const variants = [
    encodeStatement({ ...HELLO, from: B }, SHARD_0, print),
    encodeStatement({ ...HELLO, to: A }, SHARD_0, print),
    encodeStatement({ ...HELLO, clusterId: null }, SHARD_0, print),
    encodeStatement({ ...HELLO, storageId: "other" }, SHARD_0, print),
    encodeStatement(
      { ...HELLO, membershipInfo: { ...HELLO.membershipInfo, membershipVersion: 7 } },
      SHARD_0,
      print,
    ),
    encodeStatement(
      { ...HELLO, membershipInfo: { ...HELLO.membershipInfo, address: null } },
      SHARD_0,
      print,
    ),
    encodeStatement({ ...HELLO, acceptorNonce: flipped }, SHARD_0, print),
    encodeStatement({ ...HELLO, diallerNonce: flipped }, SHARD_0, print),
    encodeStatement(HELLO, 1 as ShardId, print),
    encodeStatement(HELLO, SHARD_0, new Uint8Array(0)),
  ];
  const sessions = [base, ...variants].map((bytes) => JSON.stringify(sessionOf(bytes)));
  expect(new Set(sessions).size).toBe(sessions.length);
  expect(sessionOf(base)).not.toEqual(NO_SESSION);
});

test("names of files lead nowhere but down", () => {
  const good = ["checkpoint", "partitions/1-0/00000000000000000000.seg", "a/b/c/d/e/f/g/h", "0..1"];
  const bad = [
    ...["", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/"],
    ...["a\\b", "a\0b", "a\nb", "A", "ä", "a b", "-rf", ".hidden", "a/.b", "%2e%2e", "c:x"],
    ...["a/b/c/d/e/f/g/h/i", "x".repeat(65), `${"x".repeat(64)}/`],
  ];
  expect(good.filter((name) => !isSnapshotFileName(name))).toEqual([]);
  expect(bad.filter(isSnapshotFileName)).toEqual([]);
});

test("a begin with bad names, names twice or lengths beyond all bounds is refused", () => {
  const begin = (files: readonly { name: string; length: number }[]): string => {
    const writer = new FrameWriter();
    const meta = new Uint8Array(0);
    const words = { id: ID, fresh: false, term: 1 as Term, meta, files };
    writeSnapshotBegin(writer.begin("snapshot_begin"), words);
    const { payload } = decodeFrame(writer.finish(ADDRESS), ADDRESS);
    return codeOf(() => readPayload(payload, readSnapshotBegin));
  };
  expect(begin(FILES)).toBe("none");
  expect(begin([{ name: "../../etc/passwd", length: 1 }])).toBe("payload");
  expect(begin([...FILES, ...FILES])).toBe("payload");
  const huge = Number.MAX_SAFE_INTEGER;
  expect(begin([{ name: "a", length: huge }])).toBe("none");
  expect(
    begin([
      { name: "a", length: huge },
      { name: "b", length: 1 },
    ]),
  ).toBe("payload");
});
