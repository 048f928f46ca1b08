/**
 * Entry point of a thread that serves HTTP beside the main thread. Started by
 * `server/http-threads.ts`.
 */
import type { Config } from "../config/config.ts";
import { BunClock } from "../env/bun-clock.ts";
import { FILE_CALLS } from "../env/bun-file.ts";
import { PositionedReads } from "../env/positioned-reads.ts";
import { createInstruments, type Instruments } from "../metrics/instruments.ts";
import { startLoopLagProbe } from "../metrics/loop-lag.ts";
import { WorkerPort } from "../node/port/worker-port.ts";
import { listen, type OwnHttpServer } from "./listen.ts";
import { processLog } from "./process-log.ts";
import { sharedLimits } from "./shared-limits.ts";
import { isStartError } from "./start-error.ts";
import type { FromHttpThread, Question, ThreadStart, ToHttpThread } from "./thread-messages.ts";
import { callingEnds } from "./thread-rings.ts";

declare const self: Worker;

const say = (message: FromHttpThread, transfer: ArrayBuffer[] = []): void =>
  self.postMessage(message, transfer);
const fileReads = new PositionedReads(FILE_CALLS);
let port: WorkerPort | null = null;
let server: OwnHttpServer | null = null;
let instruments: Instruments | null = null;

self.onmessage = ({ data }: MessageEvent<ToHttpThread>) => {
  switch (data.kind) {
    case "start":
      start(data.config, data.place);
      return;
    case "port":
      port?.receive(data.message);
      return;
    case "wake":
      port?.woken();
      return;
    case "ask":
      answer(data.id, data.question);
      return;
    case "reload":
      server?.reload();
      return;
    case "stop":
      void stop(data.graceMs);
      return;
  }
};
say({ kind: "ready" });

function start(config: Config, place: ThreadStart): void {
  instruments = createInstruments();
  const log = processLog(config.logLevel, instruments.logLinesLost);
  const limits = sharedLimits(place.memory, place.number);
  port = new WorkerPort({
    post: (message, transfer) => say({ kind: "port", message }, transfer),
    clock: new BunClock(),
    queueBytesMax: config.queueBytesMax,
    queueRequestsMax: config.queueRequestsMax,
    queued: { bytes: limits.queuedBytes, requests: limits.queuedRequests },
    rings: callingEnds(place.rings, { wake: () => say({ kind: "wake" }), fault: endThread }),
    readFile: (descriptor, bytes, position) => fileReads.fill(descriptor, bytes, position),
  });
  const { cluster, streams, durable, queues, later, webhooks, exports, samples } = port;
  const parts = { cluster, streams, durable, queues, later, webhooks, exports, samples };
  const served = { node: port, ...parts };
  try {
    server = listen(config, served, log, instruments, { port: place.port, shared: limits.http });
  } catch (error) {
    if (!isStartError(error)) throw error;
    say({ kind: "refused", reason: error.message });
    return;
  }
  startLoopLagProbe(instruments.httpLoopLagSeconds);
  say({ kind: "listening", url: server.url });
}

function answer(id: number, question: Question): void {
  const heapUsedBytes = process.memoryUsage().heapUsed;
  const answers = {
    busy: () => server?.busyPorts() ?? new Set<number>(),
    sample: () => ({ instruments: instruments ?? createInstruments(), heapUsedBytes }),
  };
  say({ kind: "answer", id, answer: answers[question]() });
}

/** The main thread ends the process when it sees the error. */
function endThread(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

async function stop(graceMs: number): Promise<void> {
  await server?.stop(graceMs);
  say({ kind: "stopped" });
}
