/**
 * What the journal adds to a write and a sync. Each case stands beside its floor: the same number of
 * bytes written at the same kind of place and synced, nothing else.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openBunDisk } from "../src/env/bun-disk.ts";
import type { DiskFile } from "../src/env/disk.ts";
import type { Entry, LogIndex, Term } from "../src/raft/types.ts";
import { frameBytes } from "../src/storage/journal/frame.ts";
import { Journal } from "../src/storage/journal/journal.ts";
import { bench } from "./harness.ts";

const ENTRY_BYTES = 100;
const OPS = 1000;
const FLOOR_FILE_BYTES = 64 * 2 ** 20;

/** Beside the repository, not in a temporary directory, which may be memory. */
const root = mkdtempSync(join(process.cwd(), "bench-journal-"));
const disk = openBunDisk(root);
const data = new Uint8Array(ENTRY_BYTES).fill(7);

try {
  for (const count of [1, 16, 256]) {
    await benchFloor(count);
    await benchJournal(count);
  }
  await benchRecovery();
} finally {
  rmSync(root, { recursive: true, force: true });
}

async function benchFloor(count: number): Promise<void> {
  const bytes = new Uint8Array(count * frameBytes(ENTRY_BYTES)).fill(7);
  let position = 0;
  await bench<DiskFile>(
    {
      name: `storage/journal-append/entries=${count}/floor`,
      unit: "batch",
      bytesPerOp: bytes.length,
      setup: async () => {
        const file = await disk.open(`floor-${count}`, "create");
        await file.write(0, new Uint8Array(FLOOR_FILE_BYTES));
        await file.sync();
        return file;
      },
      run: async (file) => {
        if (position + bytes.length > FLOOR_FILE_BYTES) position = 0;
        await file.write(position, bytes);
        await file.sync();
        position += bytes.length;
      },
      teardown: (file) => file.close(),
    },
    OPS,
  );
}

async function benchJournal(count: number): Promise<void> {
  await bench<Journal>(
    {
      name: `storage/journal-append/entries=${count}`,
      unit: "batch",
      bytesPerOp: count * frameBytes(ENTRY_BYTES),
      setup: () => openJournal(`journal-${count}`),
      run: async (journal) => {
        await journal.append(batchAfter(journal.lastIndex, count));
      },
      teardown: (journal) => journal.close(),
    },
    OPS,
  );
}

async function benchRecovery(): Promise<void> {
  const journal = await openJournal("recovery");
  const appends = 200;
  const count = 4096;
  for (let i = 0; i < appends; i++) await journal.append(batchAfter(journal.lastIndex, count));
  await journal.close();
  await bench(
    {
      name: `storage/journal-recovery/entries=${appends * count}`,
      unit: "recovery",
      bytesPerOp: appends * count * frameBytes(ENTRY_BYTES),
      setup: () => null,
      run: async () => {
        const opened = await openJournal("recovery");
        await opened.close();
      },
    },
    10,
  );
}

async function openJournal(directory: string): Promise<Journal> {
  await disk.makeDirectory(directory);
  const { journal } = await Journal.open({ disk, directory, identity: 1, onEntries: () => {} });
  await journal.retrySpace();
  return journal;
}

function batchAfter(last: number, count: number): Entry[] {
  const entries: Entry[] = [];
  for (let i = 1; i <= count; i++) {
    entries.push({ index: (last + i) as LogIndex, term: 1 as Term, type: "normal", data });
  }
  return entries;
}
