import { describe, expect, test } from "bun:test";
import { DecodeError } from "../../src/lib/bytes.ts";
import { decodeMessage, encodeMessage } from "../../src/raft/codec.ts";
import { decodeConfChange, decodeConfiguration } from "../../src/raft/config-codec.ts";
import { configurationOf } from "../../src/raft/membership.ts";
import type { Message } from "../../src/raft/types.ts";
import { entriesOf, id, ids, index, term } from "../tools/raft/harness.ts";
import { forEachSeed } from "../tools/random.ts";

const at = { from: id("n1"), to: id("n2"), term: term(7) };
const hint = { commit: index(5), commitTerm: term(2) };
const last = { lastIndex: index(9), lastTerm: term(6), transfer: true, ...hint };
const append = {
  type: "append_request",
  ...at,
  prevIndex: index(4),
  prevTerm: term(2),
  commit: index(3),
  entries: entriesOf(5, 2, 7, 7),
} as const;
const configuration = { ...configurationOf(ids("a b"), ids("c")), votersOutgoing: ids("a d") };

/** Every kind, so that a new one without a codec does not pass. */
const ALL: { [Type in Message["type"]]: Message } = {
  vote_request: { type: "vote_request", ...at, ...last },
  pre_vote_request: { type: "pre_vote_request", ...at, ...last, transfer: false },
  vote_response: { type: "vote_response", ...at, granted: true, ...hint },
  pre_vote_response: { type: "pre_vote_response", ...at, granted: false, ...hint },
  append_request: append,
  append_response: { type: "append_response", ...at, accepted: true, match: index(2 ** 52) },
  heartbeat: { type: "heartbeat", ...at, commit: index(300), round: 2 ** 40 },
  heartbeat_response: { type: "heartbeat_response", ...at, round: 0 },
  snapshot_offer: {
    type: "snapshot_offer",
    ...at,
    snapshot: { index: index(3), term: term(7), configuration },
  },
  timeout_now: { type: "timeout_now", ...at },
  read_index_request: { type: "read_index_request", ...at, requestId: 77 },
  read_index_response: { type: "read_index_response", ...at, requestId: 77, index: index(8) },
  transfer_request: { type: "transfer_request", ...at, target: id("n3") },
};
const REFUSAL: Message = {
  type: "append_response",
  ...at,
  accepted: false,
  rejected: index(9),
  hintIndex: index(4),
  hintTerm: term(1),
  lost: true,
};
const messages = [...Object.values(ALL), REFUSAL];

describe("every message survives the wire", () => {
  for (const message of messages) {
    test(message.type, () => expect(decodeMessage(encodeMessage(message))).toEqual(message));
  }
});

test("the bytes of old messages stay readable", () => {
  const golden = "0107026e31026e3207ac02" + "808080808020";
  expect(encodeMessage(ALL.heartbeat).toHex()).toBe(golden);
  expect(encodeMessage(append).toHex()).toBe(
    "0105026e31026e32070402030302" + "0003354032" + "070003364037" + "070003374037",
  );
});

test("data of entries are views of the frame", () => {
  const frame = encodeMessage(append);
  const decoded = decodeMessage(frame);
  if (decoded.type !== "append_request") throw new Error("decoded as something else");
  for (const entry of decoded.entries) expect(entry.data.buffer).toBe(frame.buffer);
});

test("every prefix, and every message with bytes after it, is refused", () => {
  for (const message of messages) {
    const frame = encodeMessage(message);
    for (let length = 0; length < frame.length; length++) {
      expect(() => decodeMessage(frame.subarray(0, length))).toThrow(DecodeError);
    }
    expect(() => decodeMessage(new Uint8Array([...frame, 0]))).toThrow(DecodeError);
  }
});

describe("hostile bytes are refused", () => {
  const with_ = (change: Partial<typeof append>) => encodeMessage({ ...append, ...change });
  const cases: [name: string, frame: Uint8Array, reason: string][] = [
    ["another version", new Uint8Array([9, ...encodeMessage(append).subarray(1)]), "version"],
    ["an unknown type", new Uint8Array([1, 99, 0, 0, 0]), "unknown message type"],
    ["no sender", encodeMessage({ ...append, from: id("") }), "without a name"],
    ["descending terms", with_({ entries: entriesOf(5, 7, 2) }), "descend"],
    [
      "a term below the one before",
      with_({ prevTerm: term(5), entries: entriesOf(5, 2) }),
      "descend",
    ],
    ["a term above the message's", with_({ entries: entriesOf(5, 8) }), "above the message's"],
    ["a count beyond the frame", Uint8Array.fromHex("0105026e31026e320704020384ffff7f"), "count"],
    [
      "a data length beyond the frame",
      Uint8Array.fromHex("0105026e31026e3207040203010700ff7f"),
      "end early",
    ],
    [
      "an unknown entry type",
      Uint8Array.fromHex("0105026e31026e32070402030107090101"),
      "entry type",
    ],
    ["an index above 2^53-1", Uint8Array.fromHex("0107026e31026e3207ffffffffffffff7f00"), "2^53-1"],
    ["a flag of 2", Uint8Array.fromHex("0102026e31026e3207020000"), "flag"],
  ];
  for (const [name, frame, reason] of cases) {
    test(name, () => {
      expect(() => decodeMessage(frame)).toThrow(DecodeError);
      expect(() => decodeMessage(frame)).toThrow(reason);
    });
  }
});

// Goal: whatever arrives, the answer is a message or a DecodeError, never another failure.
test("random damage never gets through as anything but an error or a well-formed message", () => {
  forEachSeed(300, (random) => {
    const frame = encodeMessage(random.pick(messages));
    for (let i = 0; i < 20; i++) {
      const damaged = frame.slice();
      for (let n = 1 + random.below(4); n > 0; n--) {
        damaged[random.below(damaged.length)] = random.below(256);
      }
      for (const decode of [decodeMessage, decodeConfChange, decodeConfiguration]) {
        try {
          decode(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }
    }
  });
});
