/**
 * Load on JetStream: `connections` sockets with one message in flight each, the next one sent when
 * the server has acknowledged the last. A process of its own, as the HTTP generator is.
 */
import type { Socket } from "bun";
import type { LoadResult } from "./generator.ts";
import { MESSAGE } from "./requests.ts";

type NatsSpec = {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
};
type State = { readonly inbox: string; sentAt: number; text: string };

export async function runNats(spec: NatsSpec): Promise<LoadResult> {
  const child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(spec)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  return JSON.parse(await new Response(child.stdout).text()) as LoadResult;
}

/** Waits for the server and makes the stream. */
export async function natsConnection(port: number): Promise<void> {
  const stream = JSON.stringify({
    name: "bench",
    subjects: ["bench.*"],
    storage: "file",
    retention: "limits",
    num_replicas: 1,
    discard: "old",
    max_msgs: 1_000_000,
    max_consumers: -1,
    max_bytes: -1,
    max_age: 0,
  });
  for (;;) {
    const made = await request(port, "$JS.API.STREAM.CREATE.bench", stream).catch(() => "");
    if (made.includes('"created"')) return;
    await Bun.sleep(50);
  }
}

/** @returns the messages that the stream has stored since it was made. */
export async function natsMessages(port: number): Promise<number> {
  const text = await request(port, "$JS.API.STREAM.INFO.bench", "");
  return Number(/"last_seq":(\d+)/.exec(text)?.[1] ?? Number.NaN);
}

function publish(subject: string, reply: string, body: string): string {
  return `PUB ${subject} ${reply} ${Buffer.byteLength(body)}\r\n${body}\r\n`;
}

async function request(port: number, subject: string, body: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = "";
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, chunk) => {
        text += chunk.toString();
        if (text.includes("MSG ") && text.endsWith("}\r\n")) resolve(text);
      },
      close: () => reject(new Error("closed")),
    },
  });
  socket.write(
    `CONNECT {"verbose":false}\r\nSUB _INBOX.a 1\r\n${publish(subject, "_INBOX.a", body)}`,
  );
  const timer = setTimeout(() => reject(new Error("no answer")), 2000);
  return await promise.finally(() => {
    clearTimeout(timer);
    socket.end();
  });
}

async function load({ port, connections, seconds }: NatsSpec): Promise<LoadResult> {
  const latencies: number[] = [];
  let answered = 0;
  let errors = 0;
  let measuring = false;
  let stopped = false;
  const send = (socket: Socket<State>) => {
    socket.data.sentAt = performance.now();
    socket.write(publish("bench.a", socket.data.inbox, MESSAGE));
  };
  const receive = (socket: Socket<State>, chunk: Buffer) => {
    const state = socket.data;
    state.text += chunk.toString();
    if (state.text.includes("PING\r\n")) socket.write("PONG\r\n");
    if (!state.text.endsWith("}\r\n") || !state.text.includes("MSG ")) return;
    if (!state.text.includes('"seq"')) errors++;
    state.text = "";
    answered++;
    if (measuring) latencies.push(performance.now() - state.sentAt);
    if (!stopped) send(socket);
  };
  const sockets = await Promise.all(
    Array.from({ length: connections }, (_, at) =>
      Bun.connect<State>({
        hostname: "127.0.0.1",
        port,
        data: { inbox: `_INBOX.${at}`, sentAt: 0, text: "" },
        socket: {
          open: (socket) => {
            socket.write(`CONNECT {"verbose":false}\r\nSUB ${socket.data.inbox} 1\r\n`);
            send(socket);
          },
          data: receive,
        },
      }),
    ),
  );
  await Bun.sleep(500);
  measuring = true;
  const begin = performance.now();
  await Bun.sleep(seconds * 1000);
  const taken = (performance.now() - begin) / 1000;
  measuring = false;
  stopped = true;
  for (const socket of sockets) socket.end();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor((latencies.length - 1) * share)] ?? Number.NaN;
  return {
    perSecond: latencies.length / taken,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    errors,
    bytesPerSecond: 0,
    answered,
  };
}

if (import.meta.main) {
  console.log(JSON.stringify(await load(JSON.parse(process.argv[2] ?? "{}") as NatsSpec)));
  process.exit(0);
}
