/**
 * Entry point of the HTTP thread, if HTTP and consensus run on separate threads. Started by
 * `server/http-worker.ts`.
 */
import type { Config } from "../config/config.ts";
import { createInstruments } from "../metrics/instruments.ts";
import { startLoopLagProbe } from "../metrics/loop-lag.ts";
import { WorkerPort } from "../node/port/worker-port.ts";
import { type HttpServer, listen } from "./listen.ts";
import { processLog } from "./process-log.ts";
import { isStartError } from "./start-error.ts";
import type { FromHttpThread, ToHttpThread } from "./thread-messages.ts";

declare const self: Worker;

const say = (message: FromHttpThread, transfer: ArrayBuffer[] = []): void =>
  self.postMessage(message, transfer);
let port: WorkerPort | null = null;
let server: HttpServer | null = null;

self.onmessage = ({ data }: MessageEvent<ToHttpThread>) => {
  switch (data.kind) {
    case "start":
      start(data.config);
      return;
    case "port":
      port?.receive(data.message);
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

function start(config: Config): void {
  const instruments = createInstruments();
  const log = processLog(config.logLevel, instruments.logLinesLost);
  port = new WorkerPort({
    post: (message, transfer) => say({ kind: "port", message }, transfer),
    defer: setImmediate,
    queueBytesMax: config.queueBytesMax,
    queueRequestsMax: config.queueRequestsMax,
  });
  const { cluster, streams, samples } = port;
  try {
    server = listen(config, { node: port, cluster, streams, samples }, log, instruments);
  } catch (error) {
    if (!isStartError(error)) throw error;
    say({ kind: "refused", reason: error.message });
    return;
  }
  startLoopLagProbe(instruments.httpLoopLagSeconds);
  say({ kind: "listening", url: server.url });
}

async function stop(graceMs: number): Promise<void> {
  await server?.stop(graceMs);
  say({ kind: "stopped" });
}
