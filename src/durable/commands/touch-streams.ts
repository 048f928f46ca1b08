import { durableKind } from "../kind.ts";
import { findLive, touch } from "../lifecycle.ts";
import type { DurableContext } from "../state.ts";

/** Many touches travel in one command. */
export const TOUCHES_MAX = 1_000;

export type TouchStreams = {
  readonly type: "touch_streams";
  readonly streamIds: readonly number[];
};

export type TouchStreamsResult = {
  readonly ok: true;
  readonly type: "touch_streams";
  /** Number of streams that still existed. */
  readonly touched: number;
};

/** Records that streams were read, so that they live for their whole time again. */
export function applyTouchStreams(
  context: DurableContext,
  { streamIds }: TouchStreams,
): TouchStreamsResult {
  let touched = 0;
  for (const streamId of streamIds) {
    const path = context.durable.byId.get(streamId)?.config.path;
    const stream = path === undefined ? undefined : findLive(context, path);
    if (stream === undefined || stream.deleted || stream.streamId !== streamId) continue;
    touch(context, stream);
    touched++;
  }
  return { ok: true, type: "touch_streams", touched };
}

export const touchStreams = durableKind<TouchStreams, TouchStreamsResult>({
  type: "touch_streams",
  tag: 83,
  encode(body, { streamIds }) {
    body.varint(streamIds.length);
    for (const streamId of streamIds) body.varint(streamId);
  },
  decode(body) {
    const count = body.varint();
    const streamIds: number[] = [];
    for (let i = 0; i < count; i++) streamIds.push(body.varint());
    return { type: "touch_streams", streamIds };
  },
  applyTo: applyTouchStreams,
  summarize: ({ touched }, summary) => summary.numbers(touched, 0),
});
