import type { Config } from "../config/config.ts";
import { parseTokenSpecs } from "../http/token-spec.ts";
import type { Instruments } from "../metrics/instruments.ts";
import type { Logger } from "../metrics/log.ts";
import type { Served } from "../node/port/calls.ts";
import { HttpThread } from "./http-thread-handle.ts";
import { guardOf, type HttpServer, portOf, reservePort } from "./listen.ts";
import { sharedMemory } from "./shared-limits.ts";
import type { SharedReads } from "./shared-reads.ts";

/** Interval at which the leader is sent to the other threads, even if no call asks for it. */
const LEADER_LOOK_MS = 50;
/** A stop ends this long after its grace period, even if a thread has not confirmed it. */
const STOPPED_LATE_MS = 500;

/**
 * Serves HTTP on threads of its own, which call the node through message ports. With more than one,
 * the kernel spreads connections over them.
 *
 * @param instruments of this thread.
 * @param reads the memory of stored batches, and who reads more of them.
 * @param fault is called if a thread ends unexpectedly.
 * @throws ConfigError with the reason, if the threads cannot listen as they were told to.
 */
export async function startHttpThreads(
  count: number,
  config: Config,
  served: Served,
  log: Logger,
  instruments: Instruments,
  reads: SharedReads,
  fault: (error: unknown) => void,
): Promise<HttpServer> {
  const tokens = config.tokens === "" ? 1 : parseTokenSpecs(config.tokens).length;
  const memory = sharedMemory(count, tokens);
  const startedAtSeconds = Date.now() / 1000 - process.uptime();
  const threads: HttpThread[] = [];
  const samplesFor = (asking: number) => async () => {
    const others = threads.filter((_, number) => number !== asking);
    const samples = await Promise.all(others.map((thread) => thread.ask("sample")));
    const heapUsedBytes = process.memoryUsage().heapUsed;
    return [{ instruments, heapUsedBytes }, ...samples].map((sample) => ({
      ...sample,
      startedAtSeconds,
    }));
  };
  for (let number = 0; number < count; number++) {
    const samples = { ...served.samples, threads: samplesFor(number) };
    threads.push(new HttpThread({ ...served, samples }, reads, fault));
  }
  // Several threads share the port, so another process is noticed only by who does not share it.
  const port = count > 1 ? await reservePort(config) : portOf(config);
  // Together, so that no client waits for a thread that is still loading.
  await Promise.all(threads.map(({ loaded }) => loaded));
  const [url = ""] = await Promise.all(
    threads.map((thread, number) => thread.listen(config, { number, memory, port })),
  );
  const busyPorts = async () => {
    const all = await Promise.all(threads.map((thread) => thread.ask("busy")));
    return new Set(all.flatMap((ports) => [...ports]));
  };
  const guard = guardOf(config, log, instruments)?.(Number(new URL(url).port), busyPorts) ?? null;
  const look = setInterval(() => {
    for (const thread of threads) thread.refresh();
  }, LEADER_LOOK_MS);
  return {
    url,
    reload() {
      for (const thread of threads) thread.reload();
    },
    async stop(graceMs) {
      guard?.stop();
      for (const thread of threads) thread.stop(graceMs);
      const stopped = Promise.all(threads.map((thread) => thread.stopped));
      await Promise.race([stopped, Bun.sleep(graceMs + STOPPED_LATE_MS)]);
      reads.threads.clear();
      for (const thread of threads) thread.endReads();
      clearInterval(look);
    },
  };
}
