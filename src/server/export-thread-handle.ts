import { exportPlaceProblem } from "../env/export-place.ts";
import type { ExportJob, ExportWriter, ReadRecords, WrittenFile } from "../node/exports/writer.ts";
import { EXPORT_THREAD, type FromExportThread, type ToExportThread } from "./export-messages.ts";
import type { ExportWriterOptions } from "./export-writer.ts";

type Call = {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  /** Reads the records of a file. */
  readonly read?: ReadRecords;
};

/**
 * The thread that converts and stores files, as the main thread sees it. It is started by the first
 * export, and again if it ends: exports then try again.
 */
export class ExportThread implements ExportWriter {
  readonly #options: ExportWriterOptions;
  readonly #calls = new Map<number, Call>();
  #worker: Worker | null = null;
  /** Messages until the thread has loaded the program; null: it has. */
  #waiting: ToExportThread[] | null = null;
  #lastId = 0;

  constructor(options: ExportWriterOptions) {
    this.#options = options;
  }

  check(url: string): string | null {
    return exportPlaceProblem(url, this.#options.exportDir);
  }

  write(job: ExportJob, read: ReadRecords, signal: AbortSignal): Promise<WrittenFile> {
    const id = ++this.#lastId;
    // The thread answers when it has ended the work: until then, the file may still appear.
    const abort = () => this.#say({ kind: "abort", id });
    signal.addEventListener("abort", abort, { once: true });
    return this.#call<WrittenFile>({ kind: "write", id, job }, read).finally(() =>
      signal.removeEventListener("abort", abort),
    );
  }

  put(url: string, name: string, text: string): Promise<void> {
    return this.#call({ kind: "put", id: ++this.#lastId, url, name, text });
  }

  remove(url: string, name: string): Promise<void> {
    return this.#call({ kind: "remove", id: ++this.#lastId, url, name });
  }

  get(url: string, name: string): Promise<string | null> {
    return this.#call({ kind: "get", id: ++this.#lastId, url, name });
  }

  stop(): void {
    this.#ended("the server stops");
  }

  #call<T>(message: Extract<ToExportThread, { id: number }>, read?: ReadRecords): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const call = { resolve, reject };
      this.#calls.set(message.id, read === undefined ? call : { ...call, read });
      this.#start();
      this.#say(message);
    });
  }

  #start(): void {
    if (this.#worker !== null) return;
    // The program is one file when it is compiled; `main.ts` knows on which thread it runs.
    const worker = new Worker(Bun.main, { argv: [EXPORT_THREAD], smol: true });
    this.#worker = worker;
    this.#waiting = [];
    const ended = (why: string) => {
      if (this.#worker === worker) this.#ended(why);
    };
    worker.onmessage = ({ data }: MessageEvent<FromExportThread>) => this.#receive(data);
    worker.onerror = ({ message }) => ended(`the thread of exports failed: ${message}`);
    worker.addEventListener("close", () => ended("the thread of exports has ended"));
    this.#say({ kind: "start", options: this.#options });
  }

  #ended(why: string): void {
    const worker = this.#worker;
    this.#worker = null;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { reject } of calls) reject(new Error(why));
    worker?.terminate();
  }

  #receive(data: FromExportThread): void {
    if (data.kind === "ready") {
      const waiting = this.#waiting ?? [];
      this.#waiting = null;
      for (const message of waiting) this.#say(message);
      return;
    }
    const call = this.#calls.get(data.id);
    if (call === undefined) return;
    if (data.kind === "read") {
      this.#read(data.id, data.from, call);
      return;
    }
    this.#calls.delete(data.id);
    if (data.kind === "done") call.resolve(data.value as never);
    else call.reject(new Error(data.message));
  }

  #read(id: number, from: number, { read }: Call): void {
    read?.(from).then(
      (bytes) => this.#say({ kind: "records", id, bytes }, [bytes.buffer]),
      (error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        this.#say({ kind: "unread", id, message });
      },
    );
  }

  #say(message: ToExportThread, transfer: ArrayBuffer[] = []): void {
    if (this.#waiting === null) this.#worker?.postMessage(message, transfer);
    else this.#waiting.push(message);
  }
}
