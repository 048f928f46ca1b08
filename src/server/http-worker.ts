import { type Config, ConfigError } from "../config/config.ts";
import type { Instruments } from "../metrics/instruments.ts";
import type { Served } from "../node/port/calls.ts";
import { PortServer } from "../node/port/server.ts";
import type { HttpServer } from "./listen.ts";
import type { FromHttpThread, ToHttpThread } from "./thread-messages.ts";

/** Interval at which the leader is sent to the other thread, even if no call asks for it. */
const LEADER_LOOK_MS = 50;
/** A stop ends this long after its grace period, even if the other thread has not confirmed it. */
const STOPPED_LATE_MS = 500;

/**
 * Serves HTTP on a separate thread, which calls the node through a message port.
 *
 * @param instruments of this thread.
 * @param fault is called if the thread ends unexpectedly, because the node then cannot serve
 *   clients.
 * @throws ConfigError with the reason, if it cannot listen as it was told to.
 */
export function startHttpThread(
  config: Config,
  served: Served,
  instruments: Instruments,
  fault: (error: unknown) => void,
): Promise<HttpServer> {
  // The program is one file when it is compiled; `main.ts` knows on which thread it runs.
  const worker = new Worker(Bun.main);
  const say = (message: ToHttpThread, transfer: ArrayBuffer[] = []): void =>
    worker.postMessage(message, transfer);
  const startedAtSeconds = Date.now() / 1000 - process.uptime();
  const threads = () => {
    const heapUsedBytes = process.memoryUsage().heapUsed;
    return [{ instruments, heapUsedBytes, startedAtSeconds }];
  };
  const port = new PortServer(
    { ...served, samples: { ...served.samples, threads } },
    (message, transfer) => say({ kind: "port", message }, transfer),
    setImmediate,
  );
  const started = Promise.withResolvers<HttpServer>();
  const stopped = Promise.withResolvers<void>();
  const look = setInterval(() => port.refresh(), LEADER_LOOK_MS);
  const server = (url: string): HttpServer => ({
    url,
    reload: () => say({ kind: "reload" }),
    stop: async (graceMs) => {
      say({ kind: "stop", graceMs });
      await Promise.race([stopped.promise, Bun.sleep(graceMs + STOPPED_LATE_MS)]);
      clearInterval(look);
    },
  });
  worker.onmessage = ({ data }: MessageEvent<FromHttpThread>) => {
    switch (data.kind) {
      case "ready":
        say({ kind: "start", config });
        return;
      case "listening":
        started.resolve(server(data.url));
        return;
      case "refused":
        started.reject(new ConfigError(data.reason));
        return;
      case "port":
        port.receive(data.message);
        return;
      case "stopped":
        stopped.resolve();
        return;
    }
  };
  worker.onerror = ({ message }) => fault(new Error(`the thread that serves HTTP: ${message}`));
  worker.addEventListener("close", () => fault(new Error("the thread that serves HTTP has ended")));
  return started.promise;
}
