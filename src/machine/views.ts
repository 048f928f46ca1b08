/**
 * Replicated data of views: the query, and the state that a leader saved last. Both are opaque here.
 * Every node computes its views from its own records and starts with the saved state.
 */

import { varintLength } from "../lib/bytes.ts";
import { type CommandKind, rest, textLength } from "../lib/command-kind.ts";
import type { CommandRejected } from "../lib/command-rejected.ts";

/** Changing one of these changes what apply does, so it needs a new command. */
export const VIEWS_MAX = 100;
export const VIEW_STATE_BYTES_MAX = 8 * 1024 * 1024;

/** Replaced, never changed: a snapshot may still refer to it. */
export type ViewRecord = {
  readonly name: string;
  /** Grows from 1 and is never used again: a state of an older query cannot hit a new one. */
  readonly viewId: number;
  /** JSON text. */
  readonly query: string;
  /** Null if no state was saved yet. */
  readonly state: Uint8Array | null;
};

export class ViewsState {
  /** In the order of their ids. */
  readonly byName = new Map<string, ViewRecord>();
  nextViewId = 1;
}

export type PutView = {
  readonly type: "put_view";
  readonly name: string;
  readonly query: string;
};
export type PutViewResult =
  | {
      readonly ok: true;
      readonly type: "put_view";
      readonly viewId: number;
      /** False if a view with this query existed already; it continues. */
      readonly created: boolean;
    }
  | ViewRejected<"too_many_views">;

export type DeleteView = { readonly type: "delete_view"; readonly name: string };
export type DeleteViewResult =
  | { readonly ok: true; readonly type: "delete_view" }
  | ViewRejected<"view_not_found">;

export type SaveView = {
  readonly type: "save_view";
  readonly name: string;
  readonly viewId: number;
  readonly state: Uint8Array;
};
export type SaveViewResult =
  | {
      readonly ok: true;
      readonly type: "save_view";
      /** False if the view was deleted or has another query now. */
      readonly saved: boolean;
    }
  | ViewRejected<"view_state_too_large">;

export type ViewRejectCode = "too_many_views" | "view_not_found" | "view_state_too_large";
export type ViewRejected<Code extends ViewRejectCode = ViewRejectCode> = CommandRejected<
  Code,
  number
>;

export function applyPutView(views: ViewsState, { name, query }: PutView): PutViewResult {
  const before = views.byName.get(name);
  if (before?.query === query) {
    return { ok: true, type: "put_view", viewId: before.viewId, created: false };
  }
  if (before === undefined && views.byName.size >= VIEWS_MAX) {
    return { ok: false, code: "too_many_views", details: { viewsMax: VIEWS_MAX } };
  }
  const viewId = views.nextViewId++;
  views.byName.delete(name);
  views.byName.set(name, { name, viewId, query, state: null });
  return { ok: true, type: "put_view", viewId, created: true };
}

export function applyDeleteView(views: ViewsState, { name }: DeleteView): DeleteViewResult {
  if (views.byName.delete(name)) return { ok: true, type: "delete_view" };
  return { ok: false, code: "view_not_found", details: {} };
}

export function applySaveView(views: ViewsState, command: SaveView): SaveViewResult {
  const { name, viewId, state } = command;
  if (state.length > VIEW_STATE_BYTES_MAX) {
    const details = { stateBytesMax: VIEW_STATE_BYTES_MAX };
    return { ok: false, code: "view_state_too_large", details };
  }
  const view = views.byName.get(name);
  const saved = view !== undefined && view.viewId === viewId;
  // Copied, because the bytes of the command are a view of the entry.
  if (saved) views.byName.set(name, { ...view, state: state.slice() });
  return { ok: true, type: "save_view", saved };
}

type HasViews = { readonly views: ViewsState };

export const putView: CommandKind<PutView, PutViewResult, HasViews> = {
  type: "put_view",
  tag: 14,
  encode(body, { name, query }) {
    body.text(name);
    body.text(query);
  },
  decode: (body) => ({ type: "put_view", name: body.text(), query: body.text() }),
  apply: ({ views }, command) => applyPutView(views, command),
};

export const deleteView: CommandKind<DeleteView, DeleteViewResult, HasViews> = {
  type: "delete_view",
  tag: 15,
  encode: (body, { name }) => body.text(name),
  decode: (body) => ({ type: "delete_view", name: body.text() }),
  apply: ({ views }, command) => applyDeleteView(views, command),
};

export const saveView: CommandKind<SaveView, SaveViewResult, HasViews> = {
  type: "save_view",
  tag: 16,
  length: ({ name, viewId, state }) => textLength(name) + varintLength(viewId) + state.length,
  encode(body, { name, viewId, state }) {
    body.text(name);
    body.varint(viewId);
    body.raw(state);
  },
  decode: (body, end) => ({
    type: "save_view",
    name: body.text(),
    viewId: body.varint(),
    state: rest(body, end),
  }),
  apply: ({ views }, command) => applySaveView(views, command),
};
