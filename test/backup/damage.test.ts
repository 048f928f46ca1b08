// Goal: an archive that is not what a server gave is refused and leaves nothing behind. Method:
// bytes are flipped at random places, the end is cut off, and, what no checksum of a frame can see,
// bytes of the files are changed and the frames made anew around them.
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  BACKUP_DATA,
  BACKUP_END,
  BACKUP_HEAD,
  BACKUP_LIST,
  BACKUP_SEED,
  BackupDamaged,
  encodeBackupHead,
  encodeBackupList,
} from "../../src/storage/backup/format.ts";
import { BackupReader } from "../../src/storage/backup/reader.ts";
import { ChainEncoder } from "../../src/storage/checkpoints/frame-chain.ts";
import { restoreTo, sampleArchive, sourceOf } from "../tools/backup/sample.ts";
import { temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

setDefaultTimeout(120_000);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const FLIPS = 100;
const TIMEOUT_MS = 300_000;
const REPLAY = `(SEED=${SEED} bun test test/backup/damage.test.ts)`;

const directory = temporaryDirectory();
afterAll(directory.remove);
const archive = sampleArchive();
const absent = join(directory.path, "absent");
const empty = join(directory.path, "empty");

async function expectRefused(bytes: Uint8Array, what: string): Promise<void> {
  const failure = await restoreTo(absent, bytes).then(
    () => "restored",
    (error: unknown) => error,
  );
  expect(failure, what).toBeInstanceOf(BackupDamaged);
  expect(existsSync(absent), what).toBe(false);
}

function flipped(bytes: Uint8Array, position: number, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[position] = (copy[position] ?? 0) ^ (1 << bit);
  return copy;
}

test("the archive itself is restored", async () => {
  const path = join(directory.path, "whole");
  const restored = await restoreTo(path, archive());
  expect(restored).toMatchObject({ topics: 1 });
  expect(restored.files).toBeGreaterThan(4);
  expect(readdirSync(path).sort()).toEqual(["FORMAT", "shards"]);
});

test(
  `a flipped bit anywhere is refused ${REPLAY}`,
  async () => {
    const bytes = archive();
    const random = new Random(SEED);
    for (let i = 0; i < FLIPS; i++) {
      const position = random.below(bytes.length);
      await expectRefused(flipped(bytes, position, random.below(8)), `byte ${position}`);
    }
    for (let position = 0; position < 24; position++) {
      await expectRefused(flipped(bytes, position, 7), `byte ${position}`);
      const last = bytes.length - 1 - position;
      await expectRefused(flipped(bytes, last, 0), `byte ${last}`);
    }
  },
  TIMEOUT_MS,
);

test(
  `an archive that was cut off, or goes on, is refused ${REPLAY}`,
  async () => {
    const bytes = archive();
    const random = new Random(SEED);
    const lengths = [0, 1, 8, 9, bytes.length - 1, bytes.length - 9];
    for (let i = 0; i < 20; i++) lengths.push(random.below(bytes.length));
    for (const length of lengths) await expectRefused(bytes.subarray(0, length), `${length} bytes`);
    await expectRefused(Buffer.concat([bytes, Uint8Array.of(0)]), "a byte too many");
    await expectRefused(Buffer.concat([bytes, bytes]), "two archives");
  },
  TIMEOUT_MS,
);

test(
  `bytes of a file that were wrong when they were packed are refused ${REPLAY}`,
  async () => {
    const random = new Random(SEED);
    const pieces = await piecesOf(archive());
    for (let i = 0; i < 50; i++) {
      const file = random.below(pieces.length);
      const at = random.below(pieces[file]?.length ?? 0);
      const changed = pieces.map((piece, each) =>
        each === file ? flipped(piece, at, i % 8) : piece,
      );
      await expectRefused(await repacked(archive(), changed), `file ${file}, byte ${at}`);
    }
    // The packing itself is right: unchanged pieces make the same archive.
    expect(Buffer.compare(await repacked(archive(), pieces), archive())).toBe(0);
  },
  TIMEOUT_MS,
);

test("a directory that existed is left empty, one that is not empty is left alone", async () => {
  mkdirSync(empty);
  await expect(restoreTo(empty, flipped(archive(), 5000, 1))).rejects.toThrow(BackupDamaged);
  expect(readdirSync(empty)).toEqual([]);
  await Bun.write(join(empty, "notes.txt"), "mine");
  await expect(restoreTo(empty, archive())).rejects.toThrow("not empty: it has notes.txt");
  expect(readdirSync(empty)).toEqual(["notes.txt"]);
});

test("the root of a new volume counts as empty, and keeps what it has", async () => {
  const root = join(directory.path, "volume");
  mkdirSync(join(root, "lost+found"), { recursive: true });
  mkdirSync(join(root, ".snapshot"));
  await Bun.write(join(root, "LOCK"), "");
  const before = ["lost+found", ".snapshot", "LOCK"].sort();
  await expect(restoreTo(root, flipped(archive(), 5000, 1))).rejects.toThrow(BackupDamaged);
  expect(readdirSync(root).sort()).toEqual(before);
  expect(await restoreTo(root, archive())).toMatchObject({ topics: 1 });
  expect(readdirSync(root).sort()).toEqual([...before, "FORMAT", "shards"].sort());
  await expect(restoreTo(root, archive())).rejects.toThrow("not empty: it has FORMAT, shards");
});

test("a directory that a node uses is refused, whenever it started", async () => {
  const root = join(directory.path, "used");
  mkdirSync(root);
  for (const looks of [[4711], [null, 4711]]) {
    const left = [...looks];
    const used = restoreTo(root, archive(), () => left.shift() ?? null);
    await expect(used).rejects.toThrow("the directory is in use by process 4711");
    expect(readdirSync(root)).toEqual([]);
  }
});

/** The bytes of each file. */
async function piecesOf(bytes: Uint8Array): Promise<Uint8Array[]> {
  const reader = await BackupReader.open(sourceOf(bytes), "the archive");
  const parts: Uint8Array[][] = reader.contents.files.map(() => []);
  for (let piece = await reader.next(); piece !== null; piece = await reader.next()) {
    parts[piece.file]?.push(piece.bytes.slice());
  }
  return parts.map((each) => new Uint8Array(Buffer.concat(each)));
}

/** Files here are shorter than a piece. */
async function repacked(bytes: Uint8Array, pieces: readonly Uint8Array[]): Promise<Uint8Array> {
  const { contents } = await BackupReader.open(sourceOf(bytes), "the archive");
  const chain = new ChainEncoder(BACKUP_SEED);
  return Buffer.concat([
    chain.encode(BACKUP_HEAD, encodeBackupHead(contents)),
    chain.encode(BACKUP_LIST, encodeBackupList(contents.files)),
    ...pieces.map((piece) => chain.encode(BACKUP_DATA, piece)),
    chain.encode(BACKUP_END, new Uint8Array(0)),
  ]);
}
