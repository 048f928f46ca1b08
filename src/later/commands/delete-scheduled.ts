import type { LeveledKind } from "../../lib/command-kind.ts";
import {
  type HasLater,
  LATER_FEATURE,
  LATER_LEVEL,
  type LaterRejected,
  type LaterState,
  laterRejected,
} from "../state.ts";

/** Forgets records that are not due yet. */
export type DeleteScheduled = { readonly type: "delete_scheduled"; readonly scheduleId: number };

export type DeleteScheduledResult =
  | { readonly ok: true; readonly type: "delete_scheduled" }
  | LaterRejected<"schedule_not_found">;

export function applyDeleteScheduled(
  state: LaterState,
  { scheduleId }: DeleteScheduled,
): DeleteScheduledResult {
  if (!state.pending.remove(scheduleId)) return laterRejected("schedule_not_found");
  return { ok: true, type: "delete_scheduled" };
}

export const deleteScheduled: LeveledKind<DeleteScheduled, DeleteScheduledResult, HasLater> = {
  type: "delete_scheduled",
  tag: 72,
  level: LATER_LEVEL,
  feature: LATER_FEATURE,
  encode: (body, { scheduleId }) => body.varint(scheduleId),
  decode: (body) => ({ type: "delete_scheduled", scheduleId: body.varint() }),
  apply: ({ parts }, command) => applyDeleteScheduled(parts.later, command),
};
