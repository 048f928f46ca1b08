import { type ByteReader, DecodeError } from "../lib/bytes.ts";
import { VIEW_STATE_BYTES_MAX, type ViewRecord, ViewsState } from "./views.ts";

type OpenView = Omit<ViewRecord, "state"> & {
  /** Null if no state was saved. */
  readonly state: Uint8Array | null;
  filled: number;
};

/** Restores the views of a snapshot from their sections. */
export class ViewRestorer {
  readonly #views = new ViewsState();
  #open: OpenView | null = null;

  begin(reader: ByteReader): void {
    check(this.#views.nextViewId === 1, "views are told twice");
    this.#views.nextViewId = reader.varint();
    check(this.#views.nextViewId > 1, "there was never a view");
  }

  view(reader: ByteReader): void {
    this.#close();
    const viewId = reader.varint();
    const name = reader.text();
    const query = reader.text();
    const length = reader.varint();
    const last = [...this.#views.byName.values()].at(-1)?.viewId ?? 0;
    check(viewId > last && viewId < this.#views.nextViewId, "views are not in order");
    check(!this.#views.byName.has(name), "two views have one name");
    check(length - 1 <= VIEW_STATE_BYTES_MAX, "the state of a view is too long");
    const state = length === 0 ? null : new Uint8Array(length - 1);
    this.#open = { name, viewId, query, state, filled: 0 };
  }

  state(reader: ByteReader): void {
    const open = this.#open;
    if (open === null || open.state === null) throw new DecodeError("a state has no view");
    const piece = reader.raw(reader.remaining);
    check(open.filled + piece.length <= open.state.length, "a state is longer than it says");
    open.state.set(piece, open.filled);
    open.filled += piece.length;
  }

  /** @throws DecodeError if the last state is incomplete. */
  finish(): ViewsState {
    this.#close();
    return this.#views;
  }

  #close(): void {
    if (this.#open === null) return;
    const { name, viewId, query, state, filled } = this.#open;
    check(filled === (state?.length ?? 0), "a state lacks a piece");
    this.#views.byName.set(name, { name, viewId, query, state });
    this.#open = null;
  }
}

function check(condition: boolean, otherwise: string): void {
  if (!condition) throw new DecodeError(otherwise);
}
