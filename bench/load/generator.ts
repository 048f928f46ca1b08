/**
 * Load over HTTP/1.1, in a process of its own: `connections` sockets with one request in flight
 * each, the next one sent when the answer is whole. Prints one JSON line.
 *
 *     bun bench/load/generator.ts '{"port":1109,"request":"<base64>","connections":64,"seconds":3}'
 */
import type { Socket } from "bun";

export type LoadSpec = {
  readonly port: number;
  /** Raw requests, base64; connections take them in turn. */
  readonly requests: readonly string[];
  readonly connections: number;
  readonly warmupSeconds: number;
  readonly seconds: number;
};
export type LoadResult = {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly errors: number;
  readonly bytesPerSecond: number;
  /** Requests in all, those of the warm-up too. */
  readonly answered: number;
};

/** Makes the load of a spec: `runGenerator` or `runWrk`. */
export type HttpLoad = (spec: LoadSpec) => Promise<LoadResult>;

type Connection = {
  received: number;
  expected: number;
  head: string;
  sentAt: number;
  turn: number;
};

const decoder = new TextDecoder("latin1");

export async function runLoad(spec: LoadSpec): Promise<LoadResult> {
  const requests = spec.requests.map((text) => Buffer.from(text, "base64"));
  const latencies: number[] = [];
  let errors = 0;
  let bytes = 0;
  let answered = 0;
  let measuring = false;
  let stopped = false;

  const send = (socket: Socket<Connection>) => {
    const state = socket.data;
    state.received = 0;
    state.expected = -1;
    state.head = "";
    state.sentAt = performance.now();
    const request = requests[state.turn++ % requests.length] as Buffer;
    const written = socket.write(request);
    if (written < request.length) pending.set(socket, request.subarray(written));
  };
  const pending = new Map<Socket<Connection>, Buffer>();

  const receive = (socket: Socket<Connection>, chunk: Buffer) => {
    const state = socket.data;
    if (measuring) bytes += chunk.length;
    state.received += chunk.length;
    if (state.expected < 0 && !readHead(state, chunk)) return;
    if (state.received < state.expected) return;
    answered++;
    if (measuring) latencies.push(performance.now() - state.sentAt);
    if (state.head.charCodeAt(9) !== 50) errors++;
    if (!stopped) send(socket);
  };

  const sockets = await Promise.all(
    Array.from({ length: spec.connections }, (_, turn) =>
      Bun.connect<Connection>({
        hostname: "127.0.0.1",
        port: spec.port,
        data: { received: 0, expected: -1, head: "", sentAt: 0, turn },
        socket: {
          open: send,
          data: receive,
          drain: (socket) => {
            const rest = pending.get(socket);
            if (rest === undefined) return;
            const written = socket.write(rest);
            if (written < rest.length) pending.set(socket, rest.subarray(written));
            else pending.delete(socket);
          },
          close: () => {
            if (!stopped) errors++;
          },
        },
      }),
    ),
  );
  await Bun.sleep(spec.warmupSeconds * 1000);
  measuring = true;
  const begin = performance.now();
  await Bun.sleep(spec.seconds * 1000);
  const seconds = (performance.now() - begin) / 1000;
  measuring = false;
  stopped = true;
  for (const socket of sockets) socket.end();

  latencies.sort((a, b) => a - b);
  const at = (q: number) => latencies[Math.floor((latencies.length - 1) * q)] ?? Number.NaN;
  return {
    perSecond: latencies.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    errors,
    bytesPerSecond: bytes / seconds,
    answered,
  };
}

/** Finds the length of the answer once its head is there. @returns false while it is not. */
function readHead(state: Connection, chunk: Buffer): boolean {
  state.head += decoder.decode(chunk.subarray(0, 4096));
  const end = state.head.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const match = /\r\ncontent-length: *(\d+)/i.exec(state.head.slice(0, end));
  state.expected = end + 4 + Number(match?.[1] ?? 0);
  return true;
}

if (import.meta.main) {
  console.log(JSON.stringify(await runLoad(JSON.parse(process.argv[2] ?? "{}") as LoadSpec)));
  process.exit(0);
}
