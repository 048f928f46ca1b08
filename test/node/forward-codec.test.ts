/** Goal: forwarded commands and outcomes keep their bytes, since members of two versions exchange them. */
import { expect, test } from "bun:test";
import { ByteWriter, utf8 } from "../../src/lib/bytes.ts";
import type { KvPutRequest, ProduceOutcome, ProduceRequest } from "../../src/node/api.ts";
import {
  beginCommands,
  type CommandBatch,
  endCommands,
  readCommands,
  writeCall,
  writeKvPut,
  writeProduce,
} from "../../src/node/forward/command-codec.ts";
import {
  type Outcome,
  readOutcomes,
  writeFailed,
  writeOther,
  writeProduced,
  writeWritten,
} from "../../src/node/forward/outcome-codec.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { encodeHeaders } from "../../src/record/headers.ts";
import { Random } from "../tools/random.ts";

/** Recorded once. They must never change. */
const COMMANDS =
  "05000000000000000607040000000188270001742b2b0000000000000000000000000000000000000000000000010000005a3c3c5f010000000100000000017601fa017f066f7264657273ac02016b046f6e636501700280808080802031310000000000000000000000000000000000000000000000010000002a34fc800400000002010000026b0176040161016202fa0107016e016b03a01f0176038827087363686564756c65545b7b22746f706963223a2274222c22706172746974696f6e223a312c227265636f726473223a7b226279746573223a7b22246279746573223a2264673d3d227d7d2c2274696d656f75744d73223a6e756c6c7d5d";
const OUTCOMES =
  "050000000000000006c8010134038080808080200209020bac02c901010a030209020bac02ca010201040903cb0103477b226f6b223a66616c73652c22636f6465223a226361735f6d69736d61746368222c2264657461696c73223a7b226578706563746564223a312c2263757272656e74223a347d7dcc0103257b226f6b223a747275652c2276616c7565223a7b22246279746573223a2264673d3d227d7dcd0104";

const BARE: ProduceRequest = {
  topic: "t",
  partition: null,
  key: null,
  idempotencyKey: null,
  producer: null,
  records: encodeRecord(null, utf8("v")),
  timeoutMs: null,
  rocket: false,
  traced: false,
};
const FULL: ProduceRequest = {
  topic: "orders",
  partition: 300,
  key: utf8("k"),
  idempotencyKey: utf8("once"),
  producer: { id: "p", epoch: 2, seq: 2 ** 40 },
  records: encodeRecord(utf8("k"), utf8("v"), encodeHeaders([{ name: "a", value: "b" }])),
  timeoutMs: 250,
  rocket: true,
  traced: true,
};
const PUT: KvPutRequest = {
  namespace: "n",
  key: "k",
  value: utf8("v"),
  cas: 3,
  ttlMs: 4000,
  timeoutMs: 250,
};
const GIVEN = [{ topic: "t", partition: 1, records: { bytes: utf8("v") }, timeoutMs: null }];

function commandsOf(write: (writer: ByteWriter) => number): Uint8Array {
  const writer = new ByteWriter();
  const at = beginCommands(writer, { epoch: 5, number: 6, firstId: 7 });
  endCommands(writer, at, write(writer));
  return writer.take();
}

test("commands have these bytes, and are read as they were written", () => {
  const bytes = commandsOf((writer) => {
    writeProduce(writer, BARE, 5000);
    writeProduce(writer, FULL, 250);
    writeKvPut(writer, PUT, 250);
    writeCall(writer, "schedule", GIVEN, 5000);
    return 4;
  });
  expect(bytes.toHex()).toBe(COMMANDS);
  expect<unknown>(readCommands(bytes)).toEqual({
    epoch: 5,
    number: 6,
    firstId: 7,
    commands: [
      { kind: "produce", request: BARE },
      { kind: "produce", request: FULL },
      { kind: "kvPut", request: PUT },
      { kind: "call", name: "schedule", given: GIVEN },
    ],
  } satisfies CommandBatch);
});

const PRODUCED: ProduceOutcome = {
  ok: true,
  partition: 3,
  firstOffset: 2 ** 40,
  count: 2,
  duplicate: true,
  payloadMatches: false,
  committed: true,
  batchId: 9,
  synced: false,
  ackedBy: 2,
  queueUs: 11,
  syncWaitUs: 300,
};
const ROCKET: ProduceOutcome = {
  ...PRODUCED,
  firstOffset: null,
  duplicate: false,
  payloadMatches: true,
  committed: false,
  synced: null,
};
const WRITTEN = { ok: true, cas: 4, batchId: 9, synced: true, ackedBy: 3 } as const;
const REFUSED = { ok: false, code: "cas_mismatch", details: { expected: 1, current: 4 } } as const;

test("outcomes have these bytes, and are read as they were written", () => {
  const writer = new ByteWriter();
  writer.u64(5);
  writer.varint(6);
  const write: readonly (() => void)[] = [
    () => writeProduced(writer, PRODUCED),
    () => writeProduced(writer, ROCKET),
    () => writeWritten(writer, WRITTEN),
    () => writeWritten(writer, REFUSED),
    () => writeOther(writer, { ok: true, value: utf8("v") } as Outcome),
    () => writeFailed(writer),
  ];
  for (const [i, each] of write.entries()) {
    writer.varint(200 + i);
    each();
  }
  const bytes = writer.take();
  expect(bytes.toHex()).toBe(OUTCOMES);
  const outcomes = [PRODUCED, ROCKET, WRITTEN, REFUSED, { ok: true, value: utf8("v") }, null];
  expect<unknown>(readOutcomes(bytes)).toEqual({
    epoch: 5,
    outcomes: outcomes.map((outcome, i) => ({ id: 200 + i, outcome })),
  });
});

test("what is cut short or changed is refused whole, or is another valid frame", () => {
  const random = new Random(7);
  const frames = [
    { bytes: Uint8Array.fromHex(COMMANDS), read: readCommands },
    { bytes: Uint8Array.fromHex(OUTCOMES), read: readOutcomes },
  ];
  for (const { bytes, read } of frames) {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => read(bytes.subarray(0, length))).toThrow();
    }
    expect(() => read(Uint8Array.from([...bytes, 0]))).toThrow("bytes after the end");
    for (let i = 0; i < 5_000; i++) {
      const changed = bytes.slice();
      changed[random.below(changed.length)] = random.below(256);
      try {
        read(changed);
      } catch (error) {
        expect((error as Error).name).toBe("FrameError");
      }
    }
  }
});
