import { expect, test } from "bun:test";
import { produce } from "../../src/broker/commands/produce.ts";
import { ByteWriter, DecodeError, utf8 } from "../../src/lib/bytes.ts";
import { appendCommand, UnknownEntryError } from "../../src/lib/command-kind.ts";
import type { NodeId } from "../../src/lib/ids.ts";
import { closeEntry, decodeEntry, openEntry } from "../../src/machine/command-codec.ts";
import type { Command } from "../../src/machine/commands.ts";
import { Machine } from "../../src/machine/machine.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import {
  entryOf,
  memberOf,
  ms,
  offset,
  RecordedEffects,
  randomCommand,
  randomEntries,
} from "../tools/machine/support.ts";
import { forEachSeed } from "../tools/random.ts";

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));

/** Version, the time 1700000000000, a count of one. */
const HEADER = "010068e5cf8b01000081808000";

/** Old entries must stay readable: these bytes may gain lines, but none may change. */
const GOLDEN: readonly [Command, string][] = [
  [{ type: "create_topic", name: "orders", partitions: 8 }, "0108066f726465727308"],
  [{ type: "delete_topic", name: "orders" }, "0207066f7264657273"],
  [
    {
      type: "produce",
      topicId: 300,
      partition: 2,
      idempotency: null,
      count: 3,
      logicalBytes: 200,
      batches: bytes("c0ffee"),
    },
    "030aac020200 03c801c0ffee",
  ],
  [
    {
      type: "produce",
      topicId: 1,
      partition: 0,
      idempotency: {
        keyDigest: bytes("000102030405060708090a0b0c0d0e0f"),
        payloadDigest: bytes("f0f1f2f3f4f5f6f7"),
      },
      count: 1,
      logicalBytes: 0,
      batches: bytes("ab"),
    },
    "031e010001 000102030405060708090a0b0c0d0e0f f0f1f2f3f4f5f6f7 0100ab",
  ],
  [{ type: "delete_group", group: "g:1" }, "12 04 03673a31"],
  [{ type: "raise_level", level: 1 }, "13 01 01"],
  [
    { type: "commit_offset", topicId: 1, partition: 7, group: "g:1", offset: offset(2 ** 40) },
    "040c0107 03673a31 808080808020",
  ],
  [
    {
      type: "delete_before",
      topicId: 1,
      partition: 0,
      beforeOffset: offset(128),
      bytesBefore: 1000,
    },
    "05060100 8001 e807",
  ],
  [
    {
      type: "trim",
      topicId: 1,
      partition: 0,
      beforeOffset: offset(5),
      bytesBefore: 6,
      policyRevision: 7,
    },
    "0605 01 00 05 06 07",
  ],
  [
    { type: "set_retention", topic: "*", partition: null, ttlMs: 86_400_000, maxBytes: null },
    "0707 012a 02 80b89929",
  ],
  [
    { type: "set_retention", topic: "t", partition: 3, ttlMs: null, maxBytes: 0 },
    "0705 0174 05 03 00",
  ],
  [
    {
      type: "change_retention",
      topic: "t",
      partition: 3,
      ttlMs: "inherit",
      maxBytes: 0,
    },
    "1405 0174 0d 03 00",
  ],
  [
    {
      type: "change_retention",
      topic: "*",
      partition: null,
      ttlMs: 300,
      maxBytes: "inherit",
    },
    "1405 012a 12 ac02",
  ],
  [
    { type: "change_retention", topic: "t", partition: null, ttlMs: "keep", maxBytes: "inherit" },
    "1403 0174 10",
  ],
  [
    {
      type: "configure",
      dedupeWindowMs: 86_400_000,
      dedupeKeysMax: 1_000_000,
      partitionsMax: 10_000,
    },
    "0809 80b89929 c0843d 904e",
  ],
  [{ type: "kv_delete_namespace", namespace: "ns", ifEmpty: false }, "1504 026e73 00"],
  [{ type: "kv_delete_namespace", namespace: "ns", ifEmpty: true }, "1504 026e73 01"],
  [
    {
      type: "kv_put",
      namespace: "ns",
      key: utf8("ключ"),
      value: bytes("00ff"),
      cas: 0,
      ttlMs: 5000,
    },
    "0912 026e73 08d0bad0bbd18ed187 01 00 8827 00ff",
  ],
  [
    {
      type: "kv_put",
      namespace: "ns",
      key: utf8("k"),
      value: bytes(""),
      cas: null,
      ttlMs: null,
    },
    "0907 026e73 016b 00 00",
  ],
  [
    { type: "kv_delete", namespace: "ns", key: utf8("k"), cas: Number.MAX_SAFE_INTEGER },
    "0a0e 026e73 016b 01 ffffffffffffff0f",
  ],
  [{ type: "tick" }, "0b00"],
  [{ ...memberOf("n1", null), host: "h", priority: 200 }, "0c0c 026e31 0168 d836 d936 c801 00"],
  [
    { ...memberOf("n1", "u-1"), host: "::1", resetStorageId: true },
    "0c11 026e31 033a3a31 d836 d936 05 03 03752d31",
  ],
  [{ type: "remove_member", id: "n1" as NodeId }, "0d03026e31"],
  [{ type: "put_view", name: "v", query: '{"ä":1}' }, "0e0b 0176 08 7b22c3a4223a317d"],
  [{ type: "delete_view", name: "v" }, "0f02 0176"],
  [{ type: "save_view", name: "v", viewId: 300, state: bytes("00ff") }, "1006 0176 ac02 00ff"],
  [
    { type: "checksum", version: 1, index: 4096, digest: 0xdeadbeef },
    "110d 01 0010000000000000 efbeadde",
  ],
  [
    { type: "join_group", group: "g", member: "m", leaseMs: 30_000, topics: ["a", "b"] },
    "280c 0167 016d b0ea01 02 0161 0162",
  ],
  [{ type: "leave_group", group: "g", member: "m" }, "2904 0167 016d"],
  [
    {
      type: "renew_member",
      group: "g",
      member: "m",
      released: [{ topicId: 1, partition: 2, generation: 300 }],
    },
    "2a09 0167 016d 01 01 02 ac02",
  ],
  [
    {
      type: "commit_member",
      group: "g",
      member: "m",
      offsets: [{ topicId: 1, partition: 2, generation: 3, offset: offset(300) }],
      released: [],
    },
    "2b0b 0167 016d 01 01 02 03 ac02 00",
  ],
  [
    {
      type: "seek_group",
      group: "g",
      targets: [
        { topicId: 1, partition: 0, to: offset(300) },
        { topicId: 1, partition: 1, to: "earliest" },
        { topicId: 1, partition: 2, to: "latest" },
      ],
    },
    "2c0e 0167 03 01 00 00 ac02 01 01 01 01 02 02",
  ],
  [
    {
      type: "produce_sequenced",
      topicId: 300,
      partition: 2,
      sequence: { id: "p-1", epoch: 1, seq: 2 ** 40, payload: 0xdeadbeef },
      producersMax: 100_000,
      count: 3,
      logicalBytes: 200,
      batches: bytes("c0ffee"),
    },
    "1e 1b ac02 02 03702d31 01 808080808020 efbeadde a08d06 03 c801 c0ffee",
  ],
  [{ type: "forget_producer", topicId: 300, id: "p-1" }, "1f06 ac02 03702d31"],
];

for (const [command, body] of GOLDEN) {
  const hex = HEADER + body.replaceAll(" ", "");
  test(`${command.type} is written as ${hex.slice(HEADER.length, HEADER.length + 24)} and read back`, () => {
    expect(Buffer.from(entryOf(1_700_000_000_000, command)).toString("hex")).toBe(hex);
    const entry = decodeEntry(bytes(hex));
    expect(entry.at).toBe(ms(1_700_000_000_000));
    expect(entry.commands).toEqual([command]);
  });
}

test("every kind of command has golden bytes", () => {
  const kinds = new Set<string>();
  forEachSeed(1, (random) => {
    for (let i = 0; i < 8_000; i++) kinds.add(randomCommand(random).type);
  });
  expect(new Set(GOLDEN.map(([command]) => command.type))).toEqual(kinds as Set<Command["type"]>);
});

test("an entry of many commands is read back, whatever else the writer holds", () => {
  forEachSeed(50, (random) => {
    const commands = Array.from({ length: random.below(300) }, () => randomCommand(random));
    expect(decodeEntry(entryOf(random.u32(), ...commands)).commands as Command[]).toEqual(
      commands.map((command) =>
        command.type === "trim" || command.type === "delete_before" ? decodedCut(command) : command,
      ),
    );
  });
});

/** `randomCommand` gives a `delete_before` one field too many. */
function decodedCut(command: Command): Command {
  if (command.type !== "delete_before") return command;
  const { type, topicId, partition, beforeOffset, bytesBefore } = command;
  return { type, topicId, partition, beforeOffset, bytesBefore };
}

test("produce goes straight from a batch into an open entry", () => {
  const writer = new ByteWriter(8);
  writer.text("something before");
  const before = writer.length;
  const start = openEntry(writer);
  const records = encodeRecord(utf8("key"), utf8("value"));
  const { bytes: batches, count, logicalBytes } = records;
  for (const partition of [0, 1]) {
    const place = { topicId: 1, partition, idempotency: null };
    appendCommand(writer, produce, { ...place, count, logicalBytes, batches });
  }
  closeEntry(writer, start, ms(5), 2);
  const entry = decodeEntry(writer.take().subarray(before));
  expect(entry.commands).toHaveLength(2);
  expect(entry.commands[1]).toMatchObject({ partition: 1, count: 1, logicalBytes: 8 });
  expect(entry.commands[1]).toHaveProperty("batches", records.bytes);
});

test("a later version, tag or flag halts the machine and changes nothing", () => {
  const later = [
    `02${HEADER.slice(2)}0b00`,
    `${HEADER}7f00`,
    `${HEADER}0907026e73016b0200`,
    `${HEADER}0c0b026e310168d836d9360504`,
    `${HEADER.replace("81808000", "82808000")}0108066f7264657273087f00`,
  ];
  for (const hex of later) {
    const machine = new Machine();
    const digest = machine.digest();
    const effects = new RecordedEffects();
    expect(() => machine.apply(bytes(hex), effects)).toThrow(UnknownEntryError);
    expect(machine.digest()).toBe(digest);
    expect(effects.results).toEqual([]);
  }
});

test("an entry that was cut off anywhere is refused", () => {
  forEachSeed(20, (random) => {
    for (const entry of randomEntries(random, 5)) {
      for (let length = 0; length < entry.length; length++) {
        expect(() => decodeEntry(entry.subarray(0, length))).toThrow(DecodeError);
      }
    }
  });
});

test("damaged bytes are refused or read, but nothing else happens", () => {
  forEachSeed(400, (random) => {
    for (const entry of randomEntries(random, 5)) {
      entry[random.below(entry.length)] = random.below(256);
      try {
        decodeEntry(entry);
      } catch (error) {
        const isExpected = error instanceof DecodeError || error instanceof UnknownEntryError;
        expect(isExpected, String(error)).toBe(true);
      }
    }
  });
});

test("a topic without partitions, a produce without records and a key that is no text make no sense", () => {
  const wrong = ["0108066f726465727300", "0307010000 00000 0ab".replaceAll(" ", "")];
  for (const body of wrong) {
    expect(() => decodeEntry(bytes(HEADER + body))).toThrow(DecodeError);
  }
  const put = { type: "kv_put", namespace: "n", cas: null, ttlMs: null } as const;
  const entry = entryOf(1, { ...put, key: bytes("ff"), value: bytes("ff") });
  expect(() => decodeEntry(entry)).toThrow("key is not UTF-8");
});
