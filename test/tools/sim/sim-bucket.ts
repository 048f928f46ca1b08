/** A bucket that fails, hangs, cuts connections and takes requests that nobody waits for any more. */
import type { ExportJob, ExportWriter, ReadRecords } from "../../../src/node/exports/writer.ts";
import { RecordCursor } from "../../../src/record/batch-reader.ts";
import type { Random } from "../random.ts";
import type { SimCluster } from "./cluster.ts";
import type { Life } from "./life.ts";

const STALL_MS = 400;
const LATE_MS_MAX = 2_000;
/** One of so many requests goes wrong. */
const FAILS_ONE_IN = 4;

/** The result of a request, and when it comes. */
type Fate = {
  /** Null: nothing happens in the bucket. */
  readonly happensMs: number | null;
  readonly answersMs: number;
  readonly error: string | null;
};

export class SimBucket {
  /** Texts of objects by `url/name`. Rows of a file are lines of offset, tab and value. */
  readonly objects = new Map<string, string>();
  /** Objects that came when their writer had gone, or had taken the request for failed. */
  readonly late = new Set<string>();
  readonly #cluster: SimCluster;
  readonly #random: Random;
  #isHealthy = false;
  #awayUntilMs = 0;

  constructor(cluster: SimCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  /** No request that is sent from now on goes wrong. */
  heal(): void {
    this.#isHealthy = true;
  }

  /** The bucket as a process sees it. */
  writerOf(life: Life): ExportWriter {
    return {
      check: () => null,
      stop: () => undefined,
      write: (job, read, signal) => this.#write(life, job, read, signal),
      put: (url, name, text) => this.#put(life, `${url}/${name}`, text),
      get: (url, name) => this.#ask(life, () => this.objects.get(`${url}/${name}`) ?? null),
      remove: (url, name) =>
        this.#ask(life, () => {
          this.#cluster.note(`bucket has no ${url}/${name}`);
          this.objects.delete(`${url}/${name}`);
        }),
    };
  }

  async #write(
    life: Life,
    { url, path, first, end }: ExportJob,
    read: ReadRecords,
    signal: AbortSignal,
  ) {
    const lines: string[] = [];
    for (let next = first; next < end; ) {
      const cursor = new RecordCursor(await read(next));
      const from = next;
      for (let more = cursor.seek(next); more && cursor.offset < end; more = cursor.next()) {
        const { bytes, valueStart, valueEnd, offset } = cursor;
        lines.push(`${offset}\t${new TextDecoder().decode(bytes.subarray(valueStart, valueEnd))}`);
        next = offset + 1;
      }
      if (next === from) throw new Error(`offset ${from} is not there`);
      signal.throwIfAborted();
    }
    const text = lines.join("\n");
    await this.#put(life, `${url}/${path}`, text);
    return { rows: lines.length, bytes: text.length };
  }

  async #put(life: Life, name: string, text: string): Promise<void> {
    const request = { isOver: false };
    try {
      await this.#ask(life, () => this.#store(name, text, request.isOver || !life.alive));
    } finally {
      request.isOver = true;
    }
  }

  /** Only the pointer changes: the same range and the same number have the same bytes. */
  #store(name: string, text: string, isLate: boolean): void {
    const before = this.objects.get(name);
    if (before !== undefined && before !== text && !name.endsWith("/latest")) {
      this.#cluster.fail(new Error(`${name} changed from\n${before}\nto\n${text}`));
    }
    this.#cluster.note(`bucket has ${name}${isLate ? ", late" : ""}`);
    this.objects.set(name, text);
    if (!isLate) return;
    this.late.add(name);
    this.#cluster.count("exports: late requests");
  }

  #ask<T>(life: Life, happen: () => T): Promise<T> {
    const { happensMs, answersMs, error } = this.#fate();
    const result: { value: T | null } = { value: null };
    if (happensMs !== null) {
      this.#cluster.queue.after(happensMs, () => {
        result.value = happen();
      });
    }
    return new Promise((resolve, reject) => {
      life.after(answersMs, () => {
        if (error === null) resolve(result.value as T);
        else reject(new Error(error));
      });
    });
  }

  #fate(): Fate {
    const random = this.#random;
    const happensMs = 1 + random.below(40);
    const answersMs = happensMs + 1;
    const nowMs = this.#cluster.queue.elapsedMs;
    if (this.#isHealthy) return { happensMs, answersMs, error: null };
    if (nowMs < this.#awayUntilMs)
      return { happensMs: null, answersMs, error: "the bucket is away" };
    if (random.below(FAILS_ONE_IN) > 0) return { happensMs, answersMs, error: null };
    this.#cluster.count("exports: faults of the bucket");
    switch (random.below(5)) {
      case 0:
        return { happensMs: null, answersMs, error: "503" };
      case 1:
        this.#awayUntilMs = nowMs + random.below(3_000);
        return { happensMs: null, answersMs, error: "the bucket is away" };
      case 2:
        return { happensMs, answersMs, error: "the connection was cut" };
      case 3:
        return { happensMs: null, answersMs: STALL_MS, error: "no progress" };
      default:
        return {
          happensMs: STALL_MS + random.below(LATE_MS_MAX),
          answersMs: STALL_MS,
          error: "no progress",
        };
    }
  }
}
