/** The bytes of the commands of queues: entries are kept for years, so they never change. */
import { expect, test } from "bun:test";
import { decodeEntry } from "../../src/machine/command-codec.ts";
import type { Command } from "../../src/machine/commands.ts";
import { entryOf } from "../tools/machine/support.ts";
import { DEFINITION } from "../tools/queue/bench.ts";

const COMMANDS: readonly (readonly [Command, string])[] = [
  [
    { type: "define_queue", name: "q", definition: DEFINITION },
    "3c110171046a6f627300e80703e8070264f403",
  ],
  [
    {
      type: "define_queue",
      name: "q",
      definition: { ...DEFINITION, deadLetter: "d", order: "key", from: "latest" },
    },
    "3c130171046a6f6273070164e80703e8070264f403",
  ],
  [{ type: "delete_queue", name: "q" }, "3d020171"],
  [{ type: "purge_queue", name: "q" }, "44020171"],
  [
    {
      type: "receive",
      queueId: 1,
      visibilityMs: 300,
      candidates: [
        { partition: 0, offset: 5, key: 0 },
        { partition: 0, offset: 6, key: 0 },
        { partition: 1, offset: 7, key: 0 },
      ],
    },
    "3e0a01ac0200000502010701",
  ],
  [
    {
      type: "receive",
      queueId: 1,
      visibilityMs: 300,
      candidates: [
        { partition: 0, offset: 5, key: 0 },
        { partition: 0, offset: 6, key: 4_503_599_627_370_495 },
      ],
    },
    "3e1001ac020100050200ffffffffffffff07",
  ],
  [
    { type: "ack_messages", queueId: 2, leases: [{ partition: 0, offset: 300, attempt: 1 }] },
    "3f050200ac0201",
  ],
  [
    {
      type: "nack_messages",
      queueId: 2,
      delayMs: null,
      leases: [{ partition: 0, offset: 3, attempt: 1 }],
    },
    "40050200000301",
  ],
  [
    {
      type: "nack_messages",
      queueId: 2,
      delayMs: 0,
      leases: [{ partition: 0, offset: 3, attempt: 1 }],
    },
    "40050201000301",
  ],
  [
    {
      type: "extend_leases",
      queueId: 2,
      byMs: 5,
      leases: [
        { partition: 0, offset: 3, attempt: 1 },
        { partition: 3, offset: 4, attempt: 9 },
      ],
    },
    "41080205000301030409",
  ],
  [
    {
      type: "bury_message",
      queueId: 2,
      partition: 1,
      offset: 2,
      attempt: 3,
      isLeased: true,
      logicalBytes: 2,
      batch: new Uint8Array([9, 8]),
    },
    "42080201020301020908",
  ],
  [
    {
      type: "redrive",
      queueId: 2,
      deadTopicId: 3,
      deadPartition: 0,
      from: 1,
      to: 4,
      appends: [{ partition: 1, count: 2, logicalBytes: 5, batches: new Uint8Array([7, 7, 7]) }],
    },
    "430c020300010401020503070707",
  ],
];

for (const [command, bytes] of COMMANDS) {
  test(`the bytes of ${command.type} are those of the first release with queues: ${bytes}`, () => {
    const entry = entryOf(5, command);
    expect(Buffer.from(entry.subarray(13)).toString("hex")).toBe(bytes);
    expect(decodeEntry(entry).commands).toEqual([command]);
  });
}
