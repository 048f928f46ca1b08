/** Bytes to a server and back, without an HTTP library that could correct them. */
export type RawAnswer = {
  /** Status of the first answer; 0 if the connection ended without one. */
  readonly status: number;
  readonly text: string;
  readonly closed: boolean;
};

/** How long the server may think about it; an answer ends the wait at once. */
const ANSWER_MS_MAX = 3000;
/** For the server to close after it has answered. */
const CLOSE_MS_MAX = 500;

/**
 * Sends the parts one after the other and waits for a whole answer.
 *
 * @param expectClose wait for the end of the connection too.
 * @param finish end our side after sending.
 */
export async function exchange(
  url: string,
  parts: readonly Uint8Array[],
  expectClose: boolean,
  finish: boolean,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const answered = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  let text = "";
  let closed = false;
  const socket = await Bun.connect({
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port),
    socket: {
      data: (_, bytes) => {
        text += bytes.toString("latin1");
        if (isWhole(text)) answered.resolve();
      },
      close: () => {
        closed = true;
        answered.resolve();
        ended.resolve();
      },
      error: () => answered.resolve(),
    },
  });
  for (const part of parts) {
    socket.write(part);
    await Bun.sleep(0);
  }
  if (finish) socket.shutdown();
  await Promise.race([answered.promise, Bun.sleep(ANSWER_MS_MAX)]);
  if (expectClose) await Promise.race([ended.promise, Bun.sleep(CLOSE_MS_MAX)]);
  const answer = { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text, closed };
  socket.end();
  return answer;
}

/** The head is there, and as much of a body as it announces. */
function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0 || /^HTTP\/1\.1 1\d\d/.test(text)) return false;
  const length = /^content-length: (\d+)\r$/im.exec(text.slice(0, end + 1))?.[1];
  return length === undefined || text.length >= end + 4 + Number(length);
}
