/** A leader on a plain socket: what a follower sends is recorded byte for byte, answers are scripted. */
import { createServer, type Socket } from "node:net";

export type RawRequest = {
  /** `POST /kv/a/b HTTP/1.1` */
  readonly line: string;
  /** In the order of arrival, names in lower case. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
};

/** Called with the socket once a request is there as far as `after` says. */
export type Script = {
  /** `connect`: before anything is read; `head`: before the body; `whole` (default): the request. */
  readonly after?: "connect" | "head" | "whole";
  readonly act: (socket: Socket) => void;
};

export type RawLeader = {
  readonly url: string;
  readonly requests: RawRequest[];
  /** Connections so far. */
  readonly connections: () => number;
  /** Used for the requests that follow. */
  script: Script;
  stop(): Promise<void>;
};

/** Bytes of an answer with its length. */
export function rawAnswer(status: string, body = "", headers: readonly string[] = []): string {
  const lines = [`HTTP/1.1 ${status}`, ...headers, `Content-Length: ${Buffer.byteLength(body)}`];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

export const answering = (status: string, body = "", headers: readonly string[] = []): Script => ({
  act: (socket) => socket.write(rawAnswer(status, body, headers)),
});

export async function startRawLeader(): Promise<RawLeader> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    if (leader.script.after === "connect") {
      leader.script.act(socket);
      return;
    }
    let received = Buffer.alloc(0);
    let acted = false;
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const request = parse(received);
      if (request === null) return;
      if (leader.script.after === "head") {
        if (!acted) leader.script.act(socket);
        acted = true;
        return;
      }
      if (request.rest === null) return;
      leader.requests.push(request.request);
      received = Buffer.from(request.rest);
      leader.script.act(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const leader: RawLeader = {
    url: `http://127.0.0.1:${port}`,
    requests: [],
    connections: () => connections,
    script: answering("200 OK", '{"ok":true}', ["Content-Type: application/json"]),
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return leader;
}

/** Null until the head is there; `rest` is null until the body is. */
function parse(bytes: Buffer): { request: RawRequest; rest: Buffer | null } | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [line = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const headers = lines.map((text) => {
    const colon = text.indexOf(":");
    return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim()] as const;
  });
  const length = Number(headers.find(([name]) => name === "content-length")?.[1] ?? 0);
  const from = end + 4;
  const body = bytes.subarray(from, from + length);
  return {
    request: { line, headers, body },
    rest: body.length < length ? null : bytes.subarray(from + length),
  };
}
