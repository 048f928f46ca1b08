/**
 * File calls of Bun and of node:fs for the same work, in turns on the same file (ext4 page cache):
 * `bun bench/files.bench.ts`. The figures are in `src/decisions/` (Bun's file calls).
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const KIB = 1024;
const ROUNDS = 60;
const ROUND_BYTES = 4 * KIB * KIB;
const FILE_BYTES = 32 * KIB * KIB;

type Call = (fd: number, path: string, bytes: Uint8Array, position: number) => unknown;
type Calls = Readonly<Record<string, Call>>;

const pooled = (start: (done: (error: Error | null) => void) => void) =>
  new Promise<void>((resolve, reject) =>
    start((error) => (error === null ? resolve() : reject(error))),
  );

const WRITES: Calls = {
  writeSync: (fd, _, bytes, position) => fs.writeSync(fd, bytes, 0, bytes.length, position),
  "Bun.write(fd)": (fd, _, bytes) => {
    const written = Bun.write(Bun.file(fd), bytes);
    return Bun.peek.status(written) === "fulfilled" ? null : written;
  },
  "fs.write": (fd, _, bytes, position) =>
    pooled((done) => fs.write(fd, bytes, 0, bytes.length, position, done)),
};

const READS: Calls = {
  readSync: (fd, _, { length }, position) =>
    fs.readSync(fd, Buffer.allocUnsafeSlow(length), 0, length, position),
  "fs.read": (fd, _, { length }, position) =>
    pooled((done) => fs.read(fd, Buffer.allocUnsafeSlow(length), 0, length, position, done)),
  "Bun.file(path).slice": (_, path, { length }, position) =>
    Bun.file(path)
      .slice(position, position + length)
      .bytes(),
};

/** One read of a file that is not open. */
const OPENED_READS: Calls = {
  "fs.open, read, close": async (_, path, { length }, position) => {
    const file = await fs.promises.open(path, "r");
    await file.read(Buffer.allocUnsafeSlow(length), 0, length, position);
    await file.close();
  },
  "Bun.file(path).slice": READS["Bun.file(path).slice"] as Call,
};

const WHOLE_READS: Calls = {
  readFileSync: (_, path) => fs.readFileSync(path),
  "fs.readFile": (_, path) => fs.promises.readFile(path),
  "Bun.file(path).bytes": (_, path) => Bun.file(path).bytes(),
};

const synced = (fd: number) => pooled((done) => fs.fdatasync(fd, done));

/** A write of the journal: over zeros that are on the disk, then fdatasync. */
const JOURNAL_WRITES: Calls = {
  "writeSync + fdatasync": async (fd, _, bytes, position) => {
    fs.writeSync(fd, bytes, 0, bytes.length, position);
    await synced(fd);
  },
  "Bun.write(fd) + fdatasync": async (fd, _, bytes) => {
    await Bun.write(Bun.file(fd), bytes);
    await synced(fd);
  },
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** Each call in turn, round after round, so that all meet the same machine. */
async function compare(title: string, calls: Calls, size: number, path: string): Promise<void> {
  const bytes = new Uint8Array(size).fill(7);
  const count = Math.max(4, Math.min(64, Math.floor(ROUND_BYTES / size)));
  const figures = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, call] of Object.entries(calls)) {
      const fd = fs.openSync(path, "r+");
      const begin = performance.now();
      for (let i = 0; i < count; i++) {
        const done = call(fd, path, bytes, i * size);
        if (done instanceof Promise) await done;
      }
      const micros = ((performance.now() - begin) / count) * 1000;
      figures.set(name, [...(figures.get(name) ?? []), micros]);
      fs.closeSync(fd);
    }
  }
  const cells = [...figures].map(([name, all]) => `${name} ${median(all).toFixed(1)} µs`);
  console.log(`${title} ${size / KIB} KiB: ${cells.join(", ")}`);
}

const directory = fs.mkdtempSync(join(tmpdir(), "ayder-files-bench-"));
try {
  const path = join(directory, "file");
  fs.writeFileSync(path, new Uint8Array(FILE_BYTES).fill(3), { flush: true });
  for (const size of [0.25, 4, 64, 200, 256, 1024]) {
    await compare("write in order", WRITES, size * KIB, path);
  }
  for (const size of [4, 64]) await compare("journal", JOURNAL_WRITES, size * KIB, path);
  for (const size of [4, 64, 256, 1024]) await compare("read", READS, size * KIB, path);
  for (const size of [4, 256, 1024]) {
    await compare("read of a closed file", OPENED_READS, size * KIB, path);
  }
  const small = join(directory, "small");
  for (const size of [4, 64, 1024]) {
    fs.writeFileSync(small, new Uint8Array(size * KIB));
    await compare("read whole", WHOLE_READS, size * KIB, small);
  }
} finally {
  fs.rmSync(directory, { recursive: true });
}
