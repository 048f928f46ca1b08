/** Goal: segments, their indexes and manifests are right at exactly their limits. */
import { expect, test } from "bun:test";
import { ByteWriter, DecodeError } from "../../src/lib/bytes.ts";
import { type EncodedRecords, encodeRecord } from "../../src/record/batch-builder.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import {
  readManifest,
  writeManifestHead,
  writeManifestPartition,
} from "../../src/storage/partitions/manifest.ts";
import { INDEX_INTERVAL_BYTES } from "../../src/storage/partitions/segment-index.ts";
import type { PartitionStore } from "../../src/storage/partitions/store.ts";
import { PartitionDisk } from "../tools/storage/partition-disk.ts";
import { openStore } from "../tools/storage/partition-support.ts";

/** One batch with one record, of exactly this many stored bytes. */
function batchOf(length: number): EncodedRecords {
  for (let size = length; size > 0; size--) {
    const encoded = encodeRecord(null, new Uint8Array(size));
    if (encoded.bytes.length === length) return encoded;
  }
  throw new Error(`no record makes a batch of ${length} bytes`);
}

function append(log: PartitionLog, length: number, timestampMs = log.lastTimestampMs): void {
  const { bytes, logicalBytes } = batchOf(length);
  log.append(bytes, log.endOffset, timestampMs, 1, logicalBytes);
}

const lengthsOf = (log: PartitionLog): number[] => log.segments.map(({ length }) => length);

async function pointsOf(log: PartitionLog): Promise<[position: number, offset: number][]> {
  const [segment] = log.segments;
  if (segment === undefined) throw new Error("there is no segment");
  const index = await log.indexOf(segment);
  return Array.from({ length: index.count }, (_, i) => [index.position(i), index.offset(i)]);
}

const newLog = (store: PartitionStore): PartitionLog => store.create(1, 0);

test("a batch that exactly fills a segment still belongs to it", () => {
  const log = newLog(openStore(new PartitionDisk(), { segmentBytes: 8_192 }));
  append(log, 4_096);
  append(log, 4_096);
  expect(lengthsOf(log)).toEqual([8_192]);
  append(log, 200);
  expect(lengthsOf(log)).toEqual([8_192, 200]);
});

test("a segment that is trimmed to its end is given up from exactly 1 MiB on", () => {
  for (const [length, expected] of [
    [2 ** 20 - 1, [2 ** 20 - 1]],
    [2 ** 20, [0]],
  ] as const) {
    const log = newLog(openStore(new PartitionDisk(), { segmentBytes: 2 ** 22 }));
    append(log, length - 4_096);
    append(log, 4_096);
    log.trim(log.endOffset);
    expect(lengthsOf(log)).toEqual([...expected]);
    expect(log.lowWatermark).toBe(2);
  }
});

test("the index has a point at exactly its interval, and none before", async () => {
  const log = newLog(openStore(new PartitionDisk()));
  const batches = INDEX_INTERVAL_BYTES / 4_096;
  for (let i = 0; i < 3 * batches; i++) append(log, 4_096);
  expect(await pointsOf(log)).toEqual([
    [INDEX_INTERVAL_BYTES, batches],
    [2 * INDEX_INTERVAL_BYTES, 2 * batches],
  ]);
});

test("an index that is made anew has the points that it had", async () => {
  const disk = new PartitionDisk();
  const store = openStore(disk, { segmentBytes: 4 * INDEX_INTERVAL_BYTES });
  const log = newLog(store);
  const batches = INDEX_INTERVAL_BYTES / 4_096;
  for (let i = 0; i < 4 * batches + 1; i++) append(log, 4_096);
  const points = await pointsOf(log);
  expect(points.length).toBe(3);
  const cut = store.beginCut();
  await cut.flush();
  const restored = openStore(disk, { segmentBytes: 4 * INDEX_INTERVAL_BYTES });
  restored.restore(cut.manifest);
  const again = restored.get(1, 0);
  for (const name of await disk.list(log.directory)) {
    if (name.endsWith(".idx")) await disk.remove(`${log.directory}/${name}`);
  }
  expect(again === null ? [] : await pointsOf(again)).toEqual(points);
});

test("a segment that was restored goes on with a point", async () => {
  const disk = new PartitionDisk();
  const store = openStore(disk);
  const log = newLog(store);
  for (let i = 0; i < 3; i++) append(log, 4_096);
  const cut = store.beginCut();
  await cut.flush();
  const restored = openStore(disk);
  restored.restore(cut.manifest);
  const again = restored.get(1, 0);
  if (again === null) throw new Error("the partition is gone");
  const batches = INDEX_INTERVAL_BYTES / 4_096;
  for (let i = 0; i < batches + 1; i++) append(again, 4_096);
  expect(await pointsOf(again)).toEqual([
    [3 * 4_096, 3],
    [3 * 4_096 + INDEX_INTERVAL_BYTES, 3 + batches],
  ]);
});

test("a manifest is read to its last byte, and nothing may follow or be missing", () => {
  const log = newLog(openStore(new PartitionDisk()));
  append(log, 200);
  const writer = new ByteWriter(64);
  writeManifestHead(writer, { partitions: 1, nextShared: 0, shared: [] });
  writeManifestPartition(writer, log, false);
  const bytes = writer.view().slice();
  const read = (manifest: Uint8Array): number[] => {
    const ends: number[] = [];
    readManifest(manifest, ({ endOffset }) => ends.push(endOffset));
    return ends;
  };
  expect(read(bytes)).toEqual([1]);
  expect(() => read(Uint8Array.of(...bytes, 0))).toThrow(DecodeError);
  for (let length = 0; length < bytes.length; length++) {
    expect(() => read(bytes.subarray(0, length))).toThrow(DecodeError);
  }
});
