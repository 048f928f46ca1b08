/** A table of the changes of a data directory that the process notices, and of those that it ignores. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBunDisk } from "../../src/env/bun-disk.ts";
import { acquireDataLock, type DataLock } from "../../src/env/data-lock.ts";
import { DiskFailure, type DiskFile } from "../../src/env/disk.ts";
import { KnownPaths } from "../../src/env/known-paths.ts";
import { WatchedDisk } from "../../src/env/watched-disk.ts";
import { isReliedPath, isReliedWhileOpen } from "../../src/storage/relied-paths.ts";

const base = mkdtempSync(join(tmpdir(), "ayder-lost-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let root: string;
let count = 0;
beforeEach(() => {
  root = join(base, String(count++), "data");
  mkdirSync(root, { recursive: true });
});

const REMOVED = (path: string) => `${path} was removed or moved`;
const REPLACED = (path: string) => `${path} was replaced by another file or directory`;

describe("the lock", () => {
  type Row = {
    readonly name: string;
    readonly does: () => void;
    readonly loss: () => string | null;
  };
  const lockFile = () => join(root, "LOCK");
  const rows: readonly Row[] = [
    { name: "nothing", does: () => {}, loss: () => null },
    {
      name: "the directory is removed",
      does: () => rmSync(root, { recursive: true }),
      loss: () => REMOVED(root),
    },
    {
      name: "the directory is moved",
      does: () => renameSync(root, `${root}.moved`),
      loss: () => REMOVED(root),
    },
    {
      name: "the directory above it is moved",
      does: () => renameSync(join(root, ".."), join(root, "../../above")),
      loss: () => REMOVED(root),
    },
    {
      name: "the directory is replaced by a file",
      does: () => {
        renameSync(root, `${root}.moved`);
        writeFileSync(root, "");
      },
      loss: () => REPLACED(root),
    },
    {
      name: "the directory is replaced by a copy with the lock file",
      does: () => {
        renameSync(root, `${root}.moved`);
        mkdirSync(root);
        copyFileSync(join(`${root}.moved`, "LOCK"), lockFile());
      },
      loss: () => REPLACED(root),
    },
    {
      name: "the directory is moved, and a link leads to it",
      does: () => {
        renameSync(root, `${root}.moved`);
        symlinkSync(`${root}.moved`, root);
      },
      loss: () => null,
    },
    {
      name: "LOCK is removed",
      does: () => unlinkSync(lockFile()),
      loss: () => REMOVED(lockFile()),
    },
    {
      name: "LOCK is replaced",
      does: () => {
        writeFileSync(`${lockFile()}.new`, "1 2\n");
        renameSync(`${lockFile()}.new`, lockFile());
      },
      loss: () => REPLACED(lockFile()),
    },
    { name: "LOCK is cut", does: () => truncateSync(lockFile()), loss: () => null },
    { name: "LOCK is touched", does: () => utimesSync(lockFile(), 1, 1), loss: () => null },
    {
      name: "another file is removed",
      does: () => {
        writeFileSync(join(root, "other"), "");
        unlinkSync(join(root, "other"));
      },
      loss: () => null,
    },
  ];
  test.each([...rows])("$name", ({ does, loss }) => {
    const lock: DataLock = acquireDataLock(root);
    expect(lock.whyLost()).toBeNull();
    does();
    expect(lock.whyLost()).toBe(loss());
    lock.release();
    expect(lock.whyLost()).toBeNull();
  });
});

const JOURNAL = "shards/0/journal";
const SEGMENT = `${JOURNAL}/0000000000000001.seg`;
const CHECKPOINT = "shards/0/checkpoints/00000000000000000007.ckpt";
const PARTITION = "shards/0/partitions/1-0";
const LOG = `${PARTITION}/00000000000000000000.seg`;

type Watched = { readonly disk: WatchedDisk; readonly known: KnownPaths; readonly log: DiskFile };

/** A directory as a running node has it: all of it was used by this process. */
async function used(): Promise<Watched> {
  const known = new KnownPaths(root, isReliedPath);
  const disk = new WatchedDisk({ disk: openBunDisk(root), known, isReliedWhileOpen });
  for (const path of [JOURNAL, "shards/0/checkpoints", PARTITION]) await disk.makeDirectory(path);
  await disk.writeWhole("FORMAT", Uint8Array.of(1));
  await disk.writeWhole("shards/0/hard-state", Uint8Array.of(1));
  await (await disk.open(SEGMENT, "create")).close();
  await (await disk.open(`${CHECKPOINT}.tmp`, "truncate")).close();
  await disk.rename(`${CHECKPOINT}.tmp`, CHECKPOINT);
  return { disk, known, log: await disk.open(LOG, "truncate") };
}

const at = (path: string) => join(root, path);
const replace = (path: string) => {
  renameSync(at(path), `${at(path)}.old`);
  writeFileSync(at(path), "");
};
const replaceDirectory = (path: string) => {
  renameSync(at(path), `${at(path)}.old`);
  mkdirSync(at(path));
};

describe("paths inside", () => {
  type Row = readonly [string, (watched: Watched) => unknown, string | null];
  const rows: readonly Row[] = [
    ["nothing", () => {}, null],
    ...[
      JOURNAL,
      "shards/0/checkpoints",
      PARTITION,
      "shards/0/partitions",
      "shards/0",
      "shards",
    ].map(
      (path): Row => [
        `${path} is removed`,
        () => rmSync(at(path), { recursive: true }),
        `R ${path}`,
      ],
    ),
    ...[
      JOURNAL,
      "shards/0/checkpoints",
      PARTITION,
      "shards/0/partitions",
      "shards/0",
      "shards",
    ].map((path): Row => [`${path} is replaced`, () => replaceDirectory(path), `X ${path}`]),
    ...["FORMAT", "shards/0/hard-state", SEGMENT, CHECKPOINT, LOG].map(
      (path): Row => [`${path} is removed`, () => unlinkSync(at(path)), `R ${path}`],
    ),
    ...["FORMAT", "shards/0/hard-state", SEGMENT, CHECKPOINT, LOG].map(
      (path): Row => [`${path} is replaced`, () => replace(path), `X ${path}`],
    ),
    [
      "a segment is removed that is not open",
      async ({ log }) => {
        await log.close();
        unlinkSync(at(LOG));
      },
      null,
    ],
    [
      "a segment is removed that is still open once more",
      async ({ disk, log }) => {
        await disk.open(LOG, "existing");
        await log.close();
        unlinkSync(at(LOG));
      },
      `R ${LOG}`,
    ],
    [
      "files appear and go that nobody relies on",
      () => {
        for (const path of ["other", `${JOURNAL}/x.tmp`, `${PARTITION}/x.idx`]) {
          writeFileSync(at(path), "");
          unlinkSync(at(path));
        }
      },
      null,
    ],
  ];
  test.each([...rows])("%s", async (_, does, expected) => {
    const watched = await used();
    expect(watched.known.look(1_000)).toBe("done");
    await does(watched);
    const looked = watched.known.look(1_000);
    if (expected === null) expect(looked).toBe("done");
    else {
      const path = at(expected.slice(2));
      const loss = expected.startsWith("R") ? REMOVED(path) : REPLACED(path);
      expect(looked).toEqual({ loss });
    }
  });
});

test("what the process itself removes, renames and replaces is no loss", async () => {
  const { disk, known, log } = await used();
  await disk.writeWhole("FORMAT", Uint8Array.of(2));
  await disk.writeWhole("shards/0/hard-state", Uint8Array.of(2));
  await disk.remove(SEGMENT);
  await disk.rename(CHECKPOINT, CHECKPOINT.replace("7.ckpt", "8.ckpt"));
  await log.close();
  await disk.removeTree(PARTITION);
  expect(known.look(1_000)).toBe("done");
  unlinkSync(at(CHECKPOINT.replace("7.ckpt", "8.ckpt")));
  expect(known.look(1_000)).toEqual({ loss: REMOVED(at(CHECKPOINT.replace("7.ckpt", "8.ckpt"))) });
});

test("a removal during a listing is no loss", async () => {
  await used();
  const known = new KnownPaths(root, isReliedPath);
  const inner = openBunDisk(root);
  const disk = new WatchedDisk({ disk: inner, known, isReliedWhileOpen });
  const slow = new WatchedDisk({
    disk: Object.assign(Object.create(inner), {
      list: async (path: string) => {
        const names = await inner.list(path);
        await disk.removeTree(PARTITION);
        return names;
      },
    }),
    known,
    isReliedWhileOpen,
  });
  expect(await slow.list("shards/0/partitions")).toEqual(["1-0"]);
  expect(known.look(1_000)).toBe("done");
});

test("a round over many paths goes on where it stopped", async () => {
  const { known } = await used();
  const looks = Math.ceil((known.size + 1) / 2);
  for (let i = 1; i < looks; i++) expect(known.look(2)).toBeNull();
  expect(known.look(2)).toBe("done");
});

test("an operation in a directory that was replaced is refused and changes nothing", async () => {
  const { disk } = await used();
  replaceDirectory(JOURNAL);
  const lost = `the data directory is lost: ${REPLACED(at(JOURNAL))}`;
  const operations = [
    () => disk.open(`${JOURNAL}/0000000000000002.seg`, "create"),
    () => disk.open(SEGMENT, "existing"),
    () => disk.readWhole(SEGMENT),
    () => disk.writeWhole(`${JOURNAL}/claimed`, Uint8Array.of(1)),
    () => disk.list(JOURNAL),
    () => disk.syncDirectory(JOURNAL),
    () => disk.remove(SEGMENT),
    () => disk.rename(SEGMENT, `${SEGMENT}.x`),
    () => disk.makeDirectory(`${JOURNAL}/x`),
    () => disk.removeTree(`${JOURNAL}/x`),
  ];
  for (const operation of operations) {
    const error = await operation().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(DiskFailure);
    expect(error).toHaveProperty("message", lost);
  }
  expect(await openBunDisk(at(JOURNAL)).list("")).toEqual([]);
});

test("an error that comes from a loss says so", async () => {
  const { disk, log } = await used();
  unlinkSync(at(LOG));
  await expect(disk.open(LOG, "existing")).rejects.toThrow(
    `the data directory is lost: ${REMOVED(at(LOG))}`,
  );
  await log.close();
  await expect(disk.open(LOG, "existing")).rejects.toThrow(`open ${at(LOG)}`);
});
