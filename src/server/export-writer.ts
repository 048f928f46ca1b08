/** Converts records to Parquet and stores the files, on the thread that calls it. */
import type { ArchiveTarget } from "../env/archive.ts";
import { exportPlaceProblem, placeOf } from "../env/export-place.ts";
import { type ExportStore, openExportStore } from "../env/export-store.ts";
import { fromUtf8, utf8 } from "../lib/bytes.ts";
import type { ExportJob, ExportWriter, ReadRecords, WrittenFile } from "../node/exports/writer.ts";
import { ParquetFile } from "../parquet/file.ts";
import { parseFormat } from "../parquet/format.ts";

export type ExportWriterOptions = {
  /** Directories must be below it; empty: there may be none. */
  readonly exportDir: string;
  /** A request to a bucket that makes no progress for this long has failed. */
  readonly stallMs: number;
  /** The version of this program, for the footer. */
  readonly version: string;
};

/** The thread rests for this part of the time that it has worked, */
const REST = 0.25;
/** in pauses of at least this length, because timers are not exact. */
const REST_MS_MIN = 5;

export class LocalExportWriter implements ExportWriter {
  readonly #options: ExportWriterOptions;
  /** Rest that is due for the work of all files. */
  #owedMs = 0;

  constructor(options: ExportWriterOptions) {
    this.#options = options;
  }

  check(url: string): string | null {
    return exportPlaceProblem(url, this.#options.exportDir);
  }

  async write(job: ExportJob, read: ReadRecords, signal: AbortSignal): Promise<WrittenFile> {
    const format = parseFormat(job.format);
    if (!format.ok) throw new Error(`${format.path}: ${format.message}`);
    const store = this.#store(job.url);
    const file = new ParquetFile(format.request, job, job.compression, this.#options.version);
    const output = new Output(store, job.path);
    try {
      while (file.nextOffset < job.end) {
        const from = file.nextOffset;
        const page = await read(from);
        signal.throwIfAborted();
        const begin = performance.now();
        const ready = file.take(page, job.end);
        await this.#rest(performance.now() - begin);
        for (const bytes of ready) await output.write(bytes);
        if (file.nextOffset === from) throw new Error(`offset ${from} of ${job.path} is not there`);
      }
      const last = file.finish(job.end);
      signal.throwIfAborted();
      if (file.rows === 0) return { rows: 0, bytes: 0 };
      await output.write(last);
      await output.finish();
      return { rows: file.rows, bytes: output.bytes };
    } catch (error) {
      await output.abandon();
      throw error;
    }
  }

  async put(url: string, name: string, text: string): Promise<void> {
    const output = new Output(this.#store(url), name, true);
    try {
      await output.write(utf8(text));
      await output.finish();
    } catch (error) {
      await output.abandon();
      throw error;
    }
  }

  async remove(url: string, name: string): Promise<void> {
    await this.#store(url).remove(name);
  }

  async get(url: string, name: string): Promise<string | null> {
    const bytes = await this.#store(url).read(name);
    return bytes === null ? null : fromUtf8(bytes);
  }

  stop(): void {
    // Nothing is held between two calls.
  }

  /** Leaves a part of a core to requests, also where threads have no priorities. */
  async #rest(workedMs: number): Promise<void> {
    this.#owedMs += workedMs * REST;
    if (this.#owedMs < REST_MS_MIN) return;
    const ms = this.#owedMs;
    this.#owedMs = 0;
    await Bun.sleep(ms);
  }

  #store(url: string): ExportStore {
    // The definition may come from a leader with another directory.
    const problem = this.check(url);
    if (problem !== null) throw new Error(`${url}: ${problem}`);
    const { stallMs, exportDir } = this.#options;
    return openExportStore(placeOf(url), { stallMs, exportDir });
  }
}

/** An object that is begun with its first bytes. */
class Output {
  readonly #store: ExportStore;
  readonly #name: string;
  readonly #once: boolean;
  #target: ArchiveTarget | null = null;
  bytes = 0;

  /** @param once see `ExportStore.create`. */
  constructor(store: ExportStore, name: string, once = false) {
    this.#store = store;
    this.#name = name;
    this.#once = once;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#target ??= await this.#store.create(this.#name, this.#once);
    await this.#target.write(bytes);
    this.bytes += bytes.length;
  }

  async finish(): Promise<void> {
    await this.#target?.finish();
    this.#target = null;
  }

  async abandon(): Promise<void> {
    const target = this.#target;
    this.#target = null;
    await target?.abandon();
  }
}
