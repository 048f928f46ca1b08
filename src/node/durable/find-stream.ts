import { BEFORE_FIRST, NOW, parseToken } from "../../durable/offset-token.ts";
import { resolve, tailOf } from "../../durable/records.ts";
import { isExpired, type StreamState } from "../../durable/state.ts";
import type { Millis } from "../../lib/ids.ts";
import type { Machine } from "../../machine/machine.ts";

export type FoundStream =
  | { readonly ok: true; readonly stream: StreamState }
  | { readonly ok: false; readonly code: "stream_not_found" | "stream_gone" };

/** Finds the stream with a path. A stream whose time is over does not exist, whatever is applied. */
export function findStream({ parts }: Machine, path: string, now: Millis): FoundStream {
  const stream = parts.durable.byPath.get(path);
  if (stream === undefined) return { ok: false, code: "stream_not_found" };
  if (stream.deleted) return { ok: false, code: "stream_gone" };
  if (!isExpired(stream, now)) return { ok: true, stream };
  return { ok: false, code: stream.forks > 0 ? "stream_gone" : "stream_not_found" };
}

export type FoundOffset =
  | { readonly ok: true; readonly offset: number }
  | {
      readonly ok: false;
      readonly code: "invalid_offset" | "offset_gone";
      readonly message: string;
    };

/** Finds the record of a stream that a token stands for. */
export function findOffset(
  { parts, broker }: Machine,
  stream: StreamState,
  token: string,
): FoundOffset {
  if (token === BEFORE_FIRST) return { ok: true, offset: 0 };
  const tail = tailOf(broker, stream);
  if (token === NOW) return { ok: true, offset: tail };
  const position = parseToken(token);
  const { path } = stream.config;
  if (position === null) {
    const message = `The offset is ${JSON.stringify(token.slice(0, 64))}: it must be one that the server gave, -1 or now`;
    return { ok: false, code: "invalid_offset", message };
  }
  const { streamId, offset } = position;
  if (streamId === 0 && offset === 0) return { ok: true, offset: 0 };
  const found = resolve(parts.durable, stream, streamId, offset);
  if (found !== null && found <= tail) return { ok: true, offset: found };
  const why =
    found === null
      ? "is of another stream, or of an earlier one with this path"
      : "is behind the end of the stream, so it may come from before a restore";
  const message = `Offset ${token} ${why}: read stream "${path}" from -1`;
  return { ok: false, code: "offset_gone", message };
}
