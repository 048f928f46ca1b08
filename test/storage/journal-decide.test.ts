/** The outcome of opening a journal follows from the facts of its scan alone. */
import { expect, test } from "bun:test";
import { JournalDamaged } from "../../src/storage/journal/damage.ts";
import { decideJournal } from "../../src/storage/journal/decide.ts";
import type { JournalScan, Prefix } from "../../src/storage/journal/scan.ts";
import type { Reading } from "../../src/storage/journal/scanner.ts";
import { at, inTerm } from "../tools/storage/journal-fixture.ts";

const damaged = (file: string) =>
  new JournalDamaged({ file, position: 64, from: at(5), to: at(9), reason: "no valid frame" });
const intact: Reading = { used: 2, chain: 7, damage: null };
const broken: Reading = { used: 0, chain: 3, damage: damaged("000001.seg") };
const held = { index: at(9), term: inTerm(4) };
const prefix: Prefix = {
  reading: { used: 1, chain: 5, damage: null },
  held,
};
const unknownEnd: Prefix = { ...prefix, held: damaged("000003.seg") };
const scan = (facts: Partial<JournalScan>): JournalScan => ({
  whole: intact,
  prefix: null,
  remainder: null,
  bytesRead: 0,
  ...facts,
});

const TABLE: readonly (readonly [string, Partial<JournalScan>, object])[] = [
  ["no evidence of damage", {}, { kind: "intact", reading: intact }],
  [
    "damage, and nothing that replaces what is missing",
    { whole: broken },
    { kind: "refuse", error: broken.damage },
  ],
  [
    "damage, and peers",
    { whole: broken, prefix },
    { kind: "truncate", reading: prefix.reading, damage: broken.damage?.damage, held },
  ],
  [
    "damage and peers, but how far the journal went is not known",
    { whole: broken, prefix: unknownEnd },
    { kind: "refuse", error: unknownEnd.held },
  ],
  [
    "damage that a checkpoint covers, and an intact remainder",
    { whole: broken, remainder: intact },
    { kind: "behind_checkpoint", reading: intact, damage: broken.damage?.damage },
  ],
  [
    "damage that a checkpoint covers, and more in the remainder",
    { whole: broken, remainder: { ...broken, damage: damaged("000002.seg") } },
    { kind: "refuse", error: damaged("000002.seg") },
  ],
];

for (const [name, facts, outcome] of TABLE) {
  test(name, () => expect(decideJournal(scan(facts))).toEqual(outcome as never));
}
