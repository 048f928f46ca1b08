/** `ayder inspect`: prints the contents of files, for debugging. Files are not changed. */
import { basename, dirname, join, resolve } from "node:path";
import { openArchiveFile } from "../env/archive-file.ts";
import { BunDisk } from "../env/bun-disk.ts";
import { isDirectory } from "../env/directories.ts";
import { DiskFailure } from "../env/disk.ts";
import { inspectCheckpoint } from "../offline/inspect-checkpoint.ts";
import { inspectSegment } from "../offline/inspect-journal.ts";
import { inspectSegmentFile } from "../offline/inspect-partition.ts";
import { inspectShared, namedFiles, piecesOf } from "../offline/inspect-shared.ts";
import { inspectArchive, inspectHardState, inspectIncoming } from "../offline/inspect-small.ts";
import { type Row, Unreadable } from "../offline/row.ts";
import { BackupDamaged } from "../storage/backup/format.ts";
import { BackupReader } from "../storage/backup/reader.ts";
import { checkpointIndex } from "../storage/checkpoints/names.ts";
import { DataDirDamaged, DataDirUnsupported } from "../storage/data-dir.ts";
import { segmentIdOf } from "../storage/journal/segment.ts";
import type { ManifestSegment } from "../storage/partitions/manifest.ts";
import { SHARED_DIRECTORY, sharedFileNumber } from "../storage/partitions/shared-file.ts";
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { visible } from "./visible.ts";

const SHARD = "shards/0";

export const INSPECT: Command = {
  name: "inspect",
  summary: "print the contents of the files of a data directory",
  actions: [
    action("journal", "<dir|.seg>", "frames: position, index, term, commands", journalRows),
    action("partition", "<dir|.seg>", "batches: position, offsets, time, keys", partitionRows),
    action("shared", "<dir|.seg>", "pieces of small partitions: place, owner, damage", sharedRows),
    action("checkpoint", "<dir|.ckpt>", "topics, groups, keys, members, limits", checkpointRows),
    action(
      "snapshot",
      "<dir|backup>",
      "a snapshot that is being received, or a backup",
      snapshotRows,
    ),
    action("hard-state", "<dir>", "term, vote, commit: both copies", hardStateRows),
  ],
  options: {
    from: { ...number("first index or offset"), only: ["journal", "partition"] },
    to: { ...number("last index or offset"), only: ["journal", "partition"] },
    limit: number("stop after this many lines"),
    records: { type: "boolean", help: "print each record of each batch", only: ["partition"] },
    json: { type: "boolean", help: "print one JSON object per line" },
  },
  notes: [
    "DIR is a data directory, or for a partition <data dir>/shards/0/partitions/<topic>-<partition>,",
    "where <topic> is the id that `inspect checkpoint` shows. Small partitions have no directory: their",
    "records are pieces of shared files, which the newest checkpoint names. Other files may be copies",
    "from elsewhere, and a node may be running. Exit codes: 0, 1 if a file cannot be read or is damaged,",
    "78 if DIR cannot be opened.",
    "Example: ayder inspect journal /var/lib/ayder --from 1000 --to 1010",
  ],
};

type Rows = (path: string, args: Arguments) => AsyncIterable<Row>;

function action(name: string, operands: string, summary: string, rows: Rows) {
  const run = (args: Arguments, io: Io) => show(rows(resolve(args.operand(0)), args), args, io);
  return { name, operands, summary, run };
}

function number(help: string) {
  return { type: "string", value: "N", help } as const;
}

async function show(rows: AsyncIterable<Row>, args: Arguments, io: Io): Promise<number> {
  const json = args.flag("json");
  let left = args.integer("limit", 1) ?? Number.POSITIVE_INFINITY;
  try {
    for await (const row of rows) {
      await io.out(json ? `${JSON.stringify(row.json)}\n` : shown(row.text));
      if (--left <= 0) break;
    }
    return EXIT.ok;
  } catch (error) {
    const isDamage =
      error instanceof Unreadable ||
      error instanceof BackupDamaged ||
      error instanceof DataDirDamaged;
    const isClosed = error instanceof DiskFailure || error instanceof DataDirUnsupported;
    if (!(isDamage || isClosed)) throw error;
    io.err(`ayder: ${error.message}\n`);
    return isDamage ? EXIT.refused : EXIT.start;
  }
}

/** Escapes control characters, because the contents of files are not trusted. */
const shown = (text: string): string => `${text.split("\n").map(visible).join("\n")}\n`;

const rangeOf = (args: Arguments) => ({
  from: args.integer("from") ?? 0,
  to: args.integer("to") ?? Number.MAX_SAFE_INTEGER,
});

async function* journalRows(path: string, args: Arguments): AsyncGenerator<Row> {
  const files = await filesAt(path, `${SHARD}/journal`, (name) => segmentIdOf(name) !== null);
  for (const { disk, name } of files) yield* inspectSegment(disk, name, rangeOf(args));
}

async function* partitionRows(path: string, args: Arguments): AsyncGenerator<Row> {
  const isFile = path.endsWith(".seg");
  const directory = isFile ? dirname(path) : path;
  const [, topicId, partition] = /^(\d+)-(\d+)$/.exec(basename(directory)) ?? [];
  if (topicId === undefined) {
    throw new UsageError(
      `${directory} must be named <topic>-<partition>; the checksums depend on the name`,
    );
  }
  const place = { topicId: Number(topicId), partition: Number(partition) };
  const view = { ...place, ...rangeOf(args), records: args.flag("records") };
  const pieces = isFile ? [] : await piecesAt(directory, place);
  for (const { disk, piece } of pieces) {
    yield* inspectSegmentFile(disk, piece.path, { ...view, baseOffset: piece.baseOffset, piece });
  }
  if (pieces.length > 0 && !isDirectory(path)) return;
  for (const { disk, name } of await filesAt(path, "", isSegment)) {
    yield* inspectSegmentFile(disk, name, { ...view, baseOffset: Number.parseInt(name, 10) });
  }
}

const isSegment = (name: string): boolean => /^\d{20}\.seg$/.test(name);

/** The pieces in shared files of a partition whose directory this is, or would be. */
async function piecesAt(
  directory: string,
  place: { readonly topicId: number; readonly partition: number },
): Promise<{ readonly disk: BunDisk; readonly piece: ManifestSegment }[]> {
  const root = dirname(directory);
  const dataDir = join(root, "../../..");
  if (!isDirectory(join(dataDir, SHARD, "checkpoints"))) return [];
  const disk = BunDisk.readOnly(dataDir);
  const named = await namedFiles(disk);
  if (named === null || join(dataDir, named.root) !== root) return [];
  return piecesOf(named, place).map((piece) => ({ disk, piece }));
}

/** @param path a data directory, or one shared file in it. */
async function* sharedRows(path: string): AsyncGenerator<Row> {
  const isFile = !isDirectory(path);
  const number = isFile ? sharedFileNumber(basename(path)) : null;
  const isShared = basename(dirname(path)) === SHARED_DIRECTORY;
  if (isFile && (number === null || !isShared)) {
    throw new UsageError(`${path} is neither a data directory nor a shared file in one`);
  }
  const disk = BunDisk.readOnly(isFile ? join(dirname(path), "../../../..") : path);
  yield* inspectShared(disk, number, () => new Promise((resolve) => setImmediate(resolve)));
}

/** Rows of a checkpoint file, or of the newest one of a directory. */
async function* checkpointRows(path: string): AsyncGenerator<Row> {
  const isOne = (name: string) => checkpointIndex(name) !== null;
  const newest = (await filesAt(path, `${SHARD}/checkpoints`, isOne)).at(-1);
  if (newest === undefined) return;
  yield* await inspectCheckpoint(newest.disk, newest.name, checkpointIndex(newest.name) ?? 0);
}

async function* snapshotRows(path: string): AsyncGenerator<Row> {
  if (isDirectory(path)) {
    yield* await inspectIncoming(BunDisk.readOnly(path));
    return;
  }
  const source = await openArchiveFile(path);
  yield* inspectArchive(await BackupReader.open(source, path));
  await source.close();
}

async function* hardStateRows(path: string): AsyncGenerator<Row> {
  const file = isDirectory(path) ? null : path;
  const root = file === null ? path : join(dirname(file), "../..");
  yield* await inspectHardState(BunDisk.readOnly(root));
}

type FileAt = { readonly disk: BunDisk; readonly name: string; readonly directory: string };

/** Returns one file, or the files of a directory (or of its subdirectory `below`, if it exists) in order. */
async function filesAt(
  path: string,
  below: string,
  isWanted: (name: string) => boolean,
): Promise<FileAt[]> {
  if (!isDirectory(path)) {
    const directory = dirname(path);
    return [{ disk: BunDisk.readOnly(directory), name: basename(path), directory }];
  }
  const inner = join(path, below);
  const directory = isDirectory(inner) ? inner : path;
  const disk = BunDisk.readOnly(directory);
  const names = (await disk.list("")).filter(isWanted);
  if (names.length === 0) throw new UsageError(`${directory} has no files of this kind`);
  return names.map((name) => ({ disk, name, directory }));
}
