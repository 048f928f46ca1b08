/** How much of the journal stays for peers that lag. */
import { expect, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import { createLogger, SILENT } from "../../src/metrics/log.ts";
import {
  JournalRetention,
  type JournalRetentionOptions,
  type RetainedFor,
} from "../../src/node/maintenance/journal-retention.ts";
import type { LogIndex } from "../../src/raft/types.ts";
import { forEachSeed } from "../tools/random.ts";

const LAST = 1000;
/** Each entry has so many bytes. */
const ENTRY_BYTES = 10;
const bytesFrom = (index: number) => (LAST + 1 - index) * ENTRY_BYTES;

function keep(needed: Record<string, number>, options: Partial<JournalRetentionOptions> = {}) {
  const neededFrom = () => new Map(Object.entries(needed) as [NodeId, LogIndex][]);
  return new JournalRetention({
    core: { neededFrom },
    journal: { bytesFrom },
    bytesMax: 1e9,
    snapshotBytes: () => 1e9,
    disk: { spareBytes: 1e9 },
    peers: { isReachable: () => true },
    log: SILENT,
    ...options,
  });
}

const bound = (one: JournalRetention, upTo: number, keptFor: RetainedFor = "peers") =>
  one.bound(upTo as LogIndex, keptFor) as number;

test("without a peer that lags all goes that no checkpoint needs", () => {
  const one = keep({ n2: 1001, n3: 951 });
  expect([bound(one, 900), one.retainedBytes]).toEqual([900, 0]);
});

test("what the slowest needs stays", () => {
  const one = keep({ n2: 700, n3: 400, n4: 999 });
  expect([bound(one, 900), one.retainedBytes]).toEqual([399, 5010]);
});

test("who lags by more than a limit holds nothing, and it is told once that this goes", () => {
  const lines: string[] = [];
  const log = createLogger({ level: "info", now: () => 0, write: (line) => lines.push(line) });
  const needed: Record<string, number> = { n2: 700, n3: 400 };
  for (const limit of [
    { bytesMax: bytesFrom(401) },
    { snapshotBytes: () => bytesFrom(401) },
    { disk: { spareBytes: bytesFrom(401) - bytesFrom(901) } },
  ]) {
    const one = keep(needed, { ...limit, log });
    expect([bound(one, 900), one.retainedBytes]).toEqual([699, 2010]);
    expect(lines.splice(0)).toEqual([expect.stringContaining("peer=n3 bytes=6010")]);
  }
  // As long as somebody else holds more, nothing goes.
  const one = keep({ n2: 300, n3: 400 }, { bytesMax: bytesFrom(400) + 5, log });
  expect(bound(one, 900)).toBe(399);
  expect(lines.splice(0)).toEqual([expect.stringContaining("peer=n2")]);
});

test("a full disk keeps nothing for others, and what checkpoints need counts for itself", () => {
  const one = keep({ n2: 700 }, { disk: { spareBytes: 0 } });
  expect([bound(one, 900), one.retainedBytes]).toEqual([900, 0]);
  expect(bound(keep({ n2: 700 }, { bytesMax: 0 }), 900)).toBe(900);
  expect(bound(keep({ n2: 950 }, { bytesMax: 0 }), 900)).toBe(900);
});

test("an operator's compaction keeps for those who can be reached; damage is kept for nobody", () => {
  const one = keep({ n2: 700, n3: 400 }, { peers: { isReachable: (peer) => peer === "n2" } });
  expect(bound(one, 900, "reachable peers")).toBe(699);
  expect([bound(one, 900, "nobody"), one.retainedBytes]).toEqual([900, 0]);
  expect(bound(one, 900, "peers")).toBe(399);
});

test("whatever peers need, what stays fits the limits, or checkpoints need it", () => {
  forEachSeed(500, (random) => {
    const upTo = random.below(LAST + 1);
    const needed: Record<string, number> = {};
    for (let i = 0; i < random.below(5); i++) needed[`n${i + 2}`] = 1 + random.below(LAST + 1);
    const [bytesMax, snapshotBytes, spareBytes] = [0, 0, 0].map(() => random.below(12_000));
    const one = keep(needed, {
      bytesMax: bytesMax as number,
      snapshotBytes: () => snapshotBytes as number,
      disk: { spareBytes: spareBytes as number },
    });
    const end = bound(one, upTo);
    const own = bytesFrom(upTo + 1);
    expect(end).toBeLessThanOrEqual(upTo);
    expect(one.retainedBytes).toBe(bytesFrom(end + 1) - own);
    expect(one.retainedBytes).toBeLessThanOrEqual(spareBytes as number);
    if (end < upTo) {
      const most = Math.min(bytesMax as number, snapshotBytes as number);
      expect(bytesFrom(end + 1)).toBeLessThanOrEqual(most);
      expect(Object.values(needed)).toContain(end + 1);
    }
  });
});
