/** Reads one HTTP/1.1 answer from the bytes that have come so far. */
export type Reply = {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** The server closes the connection after this answer. */
  readonly closes: boolean;
};

const HEAD_END = "\r\n\r\n";

/** @returns null while something is missing. */
export function readReply(bytes: Buffer): Reply | null {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return null;
  const [statusLine = "", ...lines] = bytes.toString("latin1", 0, headEnd).split("\r\n");
  const status = Number(statusLine.split(" ")[1]);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  const rest = bytes.subarray(headEnd + HEAD_END.length);
  const body = isChunked(headers) ? readChunks(rest) : readWhole(rest, headers);
  if (body === null) return null;
  const closes = headers.get("connection")?.toLowerCase() === "close";
  return { status, headers, body: body.toString(), closes };
}

const isChunked = (headers: ReadonlyMap<string, string>): boolean =>
  headers.get("transfer-encoding")?.toLowerCase() === "chunked";

function readWhole(bytes: Buffer, headers: ReadonlyMap<string, string>): Buffer | null {
  const length = Number(headers.get("content-length") ?? 0);
  return bytes.length < length ? null : bytes.subarray(0, length);
}

function readChunks(bytes: Buffer): Buffer | null {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    const start = lineEnd + 2;
    if (bytes.length < start + size + 2) return null;
    if (size === 0) return Buffer.concat(chunks);
    chunks.push(bytes.subarray(start, start + size));
    at = start + size + 2;
  }
}
