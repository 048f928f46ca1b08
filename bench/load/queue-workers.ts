/**
 * Workers of a queue, in a process of its own: `connections` sockets that produce one message, or
 * receive and acknowledge some, again and again. Prints one JSON line.
 */
import { Connection } from "./connection.ts";
import { PROTOCOLS } from "./queue-protocols.ts";

export type WorkersSpec = {
  readonly protocol: string;
  readonly port: number;
  readonly connections: number;
  /** Messages of one receive; 0: produces. */
  readonly max: number;
  readonly warmupSeconds: number;
  readonly seconds: number;
};
export type WorkersResult = {
  readonly messagesPerSecond: number;
  /** Latency of a produce, or of a receive with its acknowledgement. */
  readonly p50Ms: number;
  readonly p99Ms: number;
};

async function runWorkers(spec: WorkersSpec): Promise<WorkersResult> {
  const protocol = PROTOCOLS[spec.protocol];
  if (protocol === undefined) throw new Error(`unknown protocol ${spec.protocol}`);
  const latencies: number[] = [];
  let messages = 0;
  let measuring = false;
  let stopped = false;
  const run = async (worker: number): Promise<void> => {
    const connection = new Connection();
    await connection.open(spec.port);
    await protocol.open(connection, worker);
    while (!stopped) {
      const begin = performance.now();
      let done = 1;
      if (spec.max === 0) await protocol.produce(connection, worker);
      else done = await protocol.work(connection, worker, spec.max);
      if (!measuring) continue;
      messages += done;
      latencies.push(performance.now() - begin);
    }
    connection.close();
  };
  const running = Array.from({ length: spec.connections }, (_, worker) => run(worker));
  await Bun.sleep(spec.warmupSeconds * 1000);
  measuring = true;
  const begin = performance.now();
  await Bun.sleep(spec.seconds * 1000);
  const seconds = (performance.now() - begin) / 1000;
  measuring = false;
  stopped = true;
  await Promise.all(running);
  latencies.sort((a, b) => a - b);
  const at = (q: number) => latencies[Math.floor((latencies.length - 1) * q)] ?? Number.NaN;
  return { messagesPerSecond: messages / seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}

if (import.meta.main) {
  console.log(JSON.stringify(await runWorkers(JSON.parse(process.argv[2] ?? "{}") as WorkersSpec)));
  process.exit(0);
}
