import { durableKind } from "../kind.ts";
import { deleteStream, findLive } from "../lifecycle.ts";
import { type DurableContext, type DurableRejected, refused } from "../state.ts";

export type DeleteStream = { readonly type: "delete_stream"; readonly path: string };

export type DeleteStreamResult =
  | {
      readonly ok: true;
      readonly type: "delete_stream";
      readonly streamId: number;
      /** The records are retained, because other streams are forked from this one. */
      readonly retained: boolean;
    }
  | DurableRejected<"stream_not_found" | "stream_gone">;

export function applyDeleteStream(
  context: DurableContext,
  { path }: DeleteStream,
): DeleteStreamResult {
  const stream = findLive(context, path);
  if (stream === undefined) return refused("stream_not_found");
  if (stream.deleted) return refused("stream_gone");
  deleteStream(context, stream);
  const { streamId, forks } = stream;
  return { ok: true, type: "delete_stream", streamId, retained: forks > 0 };
}

export const removeStream = durableKind<DeleteStream, DeleteStreamResult>({
  type: "delete_stream",
  tag: 82,
  encode: (body, { path }) => body.text(path),
  decode: (body) => ({ type: "delete_stream", path: body.text() }),
  applyTo: applyDeleteStream,
  summarize({ retained, streamId }, summary) {
    summary.flag(retained);
    summary.numbers(streamId, 0);
  },
});
