/** Sends many different requests over a few connections, one at a time on each, without `fetch`. */
const decoder = new TextDecoder("latin1");

type Lane = { text: string; unsent: Uint8Array };

/**
 * @param make the raw request with this number.
 * @throws Error if an answer is not 200.
 */
export function flood(
  port: number,
  count: number,
  make: (number: number) => string | Uint8Array,
  connections = 64,
): Promise<void> {
  return floodAny(port, count, make, connections, (text) => text.startsWith("HTTP/1.1 200"));
}

/** The same for other answers than 200. */
export async function floodAny(
  port: number,
  count: number,
  make: (number: number) => string | Uint8Array,
  connections = 64,
  isGood: (answer: string) => boolean = (text) => text.startsWith("HTTP/1.1 2"),
): Promise<void> {
  let sent = 0;
  const lane = () =>
    new Promise<void>((resolve, reject) => {
      const begin = (socket: Bun.Socket<Lane>) => {
        if (sent < count) return write(socket, bytesOf(make(sent++)));
        resolve();
        socket.end();
      };
      Bun.connect<Lane>({
        hostname: "127.0.0.1",
        port,
        data: { text: "", unsent: NOTHING },
        socket: {
          open: begin,
          data: (socket, bytes) => {
            const { data } = socket;
            data.text += decoder.decode(bytes);
            if (!isComplete(data.text)) return;
            const { text } = data;
            data.text = "";
            if (isGood(text)) begin(socket);
            else reject(new Error(text));
          },
          drain: (socket) => write(socket, socket.data.unsent),
          close: () => reject(new Error("the connection ended")),
          error: (_, error) => reject(error),
        },
      }).catch(reject);
    });
  await Promise.all(Array.from({ length: Math.min(connections, count) }, lane));
}

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();
const bytesOf = (request: string | Uint8Array): Uint8Array =>
  typeof request === "string" ? encoder.encode(request) : request;

function write(socket: Bun.Socket<Lane>, bytes: Uint8Array): void {
  const written = Math.max(0, socket.write(bytes));
  socket.data.unsent = bytes.subarray(written);
}

function isComplete(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
  return text.length >= end + 4 + length;
}
