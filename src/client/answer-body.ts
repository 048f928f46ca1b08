/** Reads the body of an answer, up to a limit. */

/** The body is longer than the limit. */
export class AnswerTooLarge extends Error {
  override readonly name = "AnswerTooLarge";

  constructor(bytesMax: number) {
    super(`its answer is longer than ${bytesMax} bytes`);
  }
}

/** @throws AnswerTooLarge, and errors of the connection. */
export async function readBounded(response: Response, bytesMax: number): Promise<Uint8Array> {
  const { headers, body } = response;
  const announced = Number(headers.get("content-length") ?? Number.NaN);
  if (announced > bytesMax) return await tooLarge(body, bytesMax);
  // A compressed body may be longer than announced; any other body ends at the announced length.
  if (announced >= 0 && !headers.has("content-encoding")) {
    return new Uint8Array(await response.arrayBuffer());
  }
  return body == null ? new Uint8Array() : await readPieces(body, bytesMax);
}

async function readPieces(body: ReadableStream<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const reader = body.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return joined(pieces, length);
    length += value.length;
    if (length > bytesMax) {
      await reader.cancel().catch(() => undefined);
      throw new AnswerTooLarge(bytesMax);
    }
    pieces.push(value);
  }
}

async function tooLarge(body: ReadableStream | null, bytesMax: number): Promise<never> {
  await body?.cancel().catch(() => undefined);
  throw new AnswerTooLarge(bytesMax);
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
