/** Goal: what recovery hands to the core is the log as it ended, whatever was replaced in it. */
import { expect, test } from "bun:test";
import { type NodeId, SHARD_0 } from "../../src/lib/ids.ts";
import { createInstruments } from "../../src/metrics/instruments.ts";
import { SILENT } from "../../src/metrics/log.ts";
import { recover } from "../../src/node/recovery/recover.ts";
import type { Entry } from "../../src/raft/types.ts";
import { DataDir } from "../../src/storage/data-dir.ts";
import { Journal } from "../../src/storage/journal/journal.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";
import { entriesOf, entryOf, line } from "../tools/storage/journal-fixture.ts";

const SEGMENT_BYTES = 4_096;

/** A member's disk whose journal was written by these appends. */
async function written(appends: readonly (readonly Entry[])[]): Promise<SimDisk> {
  const disk = new SimDisk();
  const dataDir = await DataDir.open(disk, { clusterId: "c", storageId: "i" });
  const { journal } = await Journal.open({
    disk,
    directory: dataDir.shard(SHARD_0).journal,
    identity: dataDir.checksumIdentity(SHARD_0),
    segmentBytes: SEGMENT_BYTES,
    reserveBytes: 0,
  });
  for (const entries of appends) await journal.append(entries);
  await journal.close();
  return disk;
}

async function recovered(disk: SimDisk) {
  return await recover({
    disk,
    clock: new SimClock(),
    log: SILENT,
    instruments: createInstruments(),
    dataDir: await DataDir.open(disk, { clusterId: "c", storageId: "i" }),
    shard: SHARD_0,
    nodeId: "node1" as NodeId,
    storage: {
      journalSegmentBytes: SEGMENT_BYTES,
      segmentBytes: 4_096,
      tailBytes: 65_536,
      diskReserveBytes: 0,
    },
    initialMembers: null,
    newClusterId: () => "c",
    namesPeers: true,
    onSpace: () => undefined,
    mayShare: () => false,
    repair: () => Promise.resolve(false),
    onFailure: (error) => {
      throw error;
    },
  });
}

test.each([
  {
    name: "nothing was replaced",
    appends: [entriesOf(1, 4, 1)],
    log: entriesOf(1, 4, 1),
  },
  {
    name: "the last entry was replaced",
    appends: [entriesOf(1, 4, 1), [entryOf(4, 2)]],
    log: [...entriesOf(1, 3, 1), entryOf(4, 2)],
  },
  {
    name: "a replacing entry voids all behind it",
    appends: [entriesOf(1, 6, 1), [entryOf(3, 2)]],
    log: [...entriesOf(1, 2, 1), entryOf(3, 2)],
  },
  {
    name: "the first entry was replaced, and again",
    appends: [entriesOf(1, 3, 1), entriesOf(1, 5, 2), entriesOf(1, 2, 3)],
    log: entriesOf(1, 2, 3),
  },
  {
    name: "entries were replaced in another segment",
    appends: [entriesOf(1, 5, 1, 600), entriesOf(4, 6, 2, 600), [entryOf(7, 2), entryOf(8, 2)]],
    log: [...entriesOf(1, 3, 1, 600), ...entriesOf(4, 6, 2, 600), entryOf(7, 2), entryOf(8, 2)],
  },
])("$name", async ({ appends, log }) => {
  const { entries, storage } = await recovered(await written(appends));
  expect(entries.map(line)).toEqual([...log].map(line));
  expect(Number(storage.journal.lastIndex)).toBe(log.length);
});
