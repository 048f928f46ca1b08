/** Entry point of the thread that writes exports. Started by `server/export-thread-handle.ts`. */
import { setPriority } from "node:os";
import type { FromExportThread, ToExportThread } from "./export-messages.ts";
import { LocalExportWriter } from "./export-writer.ts";

declare const self: Worker;

/** On Linux this changes the calling thread only: requests go before exports. */
const NICE = 19;

type Job = {
  readonly abort: AbortController;
  records: PromiseWithResolvers<Uint8Array<ArrayBuffer>> | null;
};

const jobs = new Map<number, Job>();
let writer: LocalExportWriter | null = null;

const say = (message: FromExportThread): void => self.postMessage(message);

self.onmessage = ({ data }: MessageEvent<ToExportThread>) => {
  switch (data.kind) {
    case "start":
      writer = new LocalExportWriter(data.options);
      return;
    case "write":
      answer(data.id, () => write(data.id, data.job));
      return;
    case "put":
      answer(data.id, () => started().put(data.url, data.name, data.text));
      return;
    case "get":
      answer(data.id, () => started().get(data.url, data.name));
      return;
    case "remove":
      answer(data.id, () => started().remove(data.url, data.name));
      return;
    case "records":
      jobs.get(data.id)?.records?.resolve(data.bytes);
      return;
    case "unread":
      jobs.get(data.id)?.records?.reject(new Error(data.message));
      return;
    case "abort":
      jobs.get(data.id)?.abort.abort(new Error("aborted"));
      jobs.get(data.id)?.records?.reject(new Error("aborted"));
      return;
  }
};
if (process.platform === "linux") setPriority(0, NICE);
say({ kind: "ready" });

function started(): LocalExportWriter {
  if (writer === null) throw new Error("the thread has no options yet");
  return writer;
}

async function write(id: number, job: Extract<ToExportThread, { kind: "write" }>["job"]) {
  const abort = new AbortController();
  const state: Job = { abort, records: null };
  jobs.set(id, state);
  const read = (from: number): Promise<Uint8Array<ArrayBuffer>> => {
    abort.signal.throwIfAborted();
    state.records = Promise.withResolvers();
    say({ kind: "read", id, from });
    return state.records.promise;
  };
  try {
    return await started().write(job, read, abort.signal);
  } finally {
    jobs.delete(id);
  }
}

function answer(id: number, work: () => Promise<unknown>): void {
  Promise.resolve()
    .then(work)
    .then(
      (value) => say({ kind: "done", id, value }),
      (error: unknown) => {
        say({
          kind: "failed",
          id,
          message: error instanceof Error ? error.message : String(error),
        });
      },
    );
}
