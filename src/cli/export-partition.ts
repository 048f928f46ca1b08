/** Exports one partition: files are cut where the date changes, and at a size. */
import type { Client, RawPage } from "../client/index.ts";
import { VERSION } from "../config/version.ts";
import { ArchiveUnavailable } from "../env/archive.ts";
import type { ExportStore } from "../env/export-store.ts";
import { type Compression, ParquetFile } from "../parquet/file.ts";
import type { RowFormat } from "../parquet/format.ts";
import { dayOf, pathOf } from "../parquet/layout.ts";
import {
  batchBaseOffset,
  batchCount,
  batchLength,
  batchLogicalBytes,
  batchTimestamp,
  checkBatch,
  partitionSeed,
} from "../record/batch-header.ts";

const PAGE_BYTES = 1024 * 1024;

export type PartitionTask = {
  readonly topic: string;
  readonly partition: number;
  readonly first: number;
  readonly end: number;
  readonly client: Client;
  readonly store: ExportStore;
  readonly format: RowFormat;
  readonly compression: Compression;
  /** A file ends after this many bytes of records. */
  readonly fileBytes: number;
  readonly interrupted: AbortSignal;
};

export type ExportedFile = {
  readonly file: string;
  readonly partition: number;
  readonly firstOffset: number;
  readonly endOffset: number;
  readonly rows: number;
  readonly bytes: number;
};

export type Teller = {
  read(records: number): void;
  /** Records that retention deleted before they were read. */
  lost(records: number): void;
  file(file: ExportedFile): Promise<void>;
};

/** @throws AyderError, ArchiveUnavailable, or the reason of the interruption. */
export async function exportPartition(task: PartitionTask, tell: Teller): Promise<void> {
  const writer = new PartitionWriter(task, tell);
  const { topic, partition, client, interrupted } = task;
  let topicId: number | undefined;
  for (let next = task.first; next < task.end; ) {
    const options = { offset: next, maxBytes: PAGE_BYTES, topicId, signal: interrupted };
    const page = await client.readBatches(topic, partition, options);
    topicId = page.topicId;
    const from = Math.min(Math.max(next, page.startOffset), task.end);
    const until = Math.min(page.nextOffset, task.end);
    if (until <= next) throw new ArchiveUnavailable(`${topic}/${partition}: no records at ${next}`);
    if (from > next) {
      await writer.end();
      tell.lost(from - next);
    }
    await writer.take(page, from, until);
    tell.read(until - next);
    next = until;
  }
  await writer.end();
}

/** A file whose end is not known yet. Its bytes wait in memory, because its name has the end. */
class OpenFile {
  readonly day: number;
  readonly first: number;
  readonly parquet: ParquetFile;
  readonly parts: Uint8Array[] = [];
  /** Keys, values and headers so far. */
  recordBytes = 0;

  constructor(
    { topic, partition, format, compression }: PartitionTask,
    day: number,
    first: number,
  ) {
    this.day = day;
    this.first = first;
    this.parquet = new ParquetFile(format, { topic, partition, first }, compression, VERSION);
  }
}

class PartitionWriter {
  readonly #task: PartitionTask;
  readonly #tell: Teller;
  #file: OpenFile | null = null;
  #next = 0;

  constructor(task: PartitionTask, tell: Teller) {
    this.#task = task;
    this.#tell = tell;
  }

  /** Takes the records of a page in `[from, until)`. */
  async take({ bytes, topicId }: RawPage, from: number, until: number): Promise<void> {
    const seed = partitionSeed(topicId, this.#task.partition);
    let next = from;
    for (let at = 0; at < bytes.length && next < until; at += batchLength(bytes, at)) {
      const wrong = checkBatch(bytes, at, seed);
      if (wrong !== null) throw new ArchiveUnavailable(`the server sent a wrong batch: ${wrong}`);
      const end = Math.min(until, batchBaseOffset(bytes, at) + batchCount(bytes, at));
      if (end <= next) continue;
      await this.#batch(bytes.subarray(at, at + batchLength(bytes, at)), next, end);
      next = end;
    }
  }

  /** Ends the file that is open. */
  async end(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    if (file === null) return;
    const { topic, partition, store } = this.#task;
    const [first, end] = [file.first, this.#next];
    file.parts.push(file.parquet.finish(end));
    const name = pathOf({ topic, day: file.day, partition, first, end });
    const { rows } = file.parquet;
    // A file without rows is not written.
    const bytes = rows === 0 ? 0 : await put(store, name, file.parts);
    await this.#tell.file({
      file: name,
      partition,
      firstOffset: first,
      endOffset: end,
      rows,
      bytes,
    });
  }

  async #batch(batch: Uint8Array, from: number, end: number): Promise<void> {
    this.#task.interrupted.throwIfAborted();
    const day = dayOf(batchTimestamp(batch, 0));
    if (this.#file !== null && this.#file.day !== day) await this.end();
    this.#file ??= new OpenFile(this.#task, day, from);
    const file = this.#file;
    file.parts.push(...file.parquet.take(batch, end));
    file.recordBytes += batchLogicalBytes(batch, 0);
    this.#next = end;
    if (file.recordBytes >= this.#task.fileBytes) await this.end();
  }
}

async function put(
  store: ExportStore,
  name: string,
  parts: readonly Uint8Array[],
): Promise<number> {
  const target = await store.create(name);
  let bytes = 0;
  try {
    for (const part of parts) {
      await target.write(part);
      bytes += part.length;
    }
    await target.finish();
  } catch (error) {
    await target.abandon();
    throw error;
  }
  return bytes;
}
