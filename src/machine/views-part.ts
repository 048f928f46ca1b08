/** Views in snapshots: each view, in the order of their ids, is followed by the pieces of its state. */
import { type ByteReader, DecodeError } from "../lib/bytes.ts";
import {
  check,
  type PartRestorer,
  SECTION_BYTES_TARGET,
  type Section,
  type StatePart,
  section,
} from "../lib/state-part.ts";
import { VIEW_STATE_BYTES_MAX, type ViewRecord, ViewsState } from "./views.ts";

/** The id of the next view. Absent while there was never a view. */
const SECTION_VIEWS = 10;
/** One view; says how long its state is. */
const SECTION_VIEW = 11;
/** A piece of the state of the view before. */
const SECTION_VIEW_STATE = 12;

export const viewsPart: StatePart<ViewsState> = {
  tags: [SECTION_VIEWS, SECTION_VIEW, SECTION_VIEW_STATE],
  empty: () => new ViewsState(),
  // Records are replaced and never changed, so references are a capture.
  capture: ({ nextViewId, byName }) => sectionsOf(nextViewId, [...byName.values()]),
  restorer: () => new ViewsRestorer(),
  digest({ nextViewId, byName }, sink) {
    const { writer } = sink;
    writer.u64(nextViewId);
    for (const { name, viewId, query, state } of byName.values()) {
      writer.u64(viewId);
      writer.text(name);
      writer.text(query);
      writer.u8(state === null ? 0 : 1);
      if (state !== null) writer.blob(state);
      sink.flush();
    }
  },
  counts: ({ nextViewId, byName }) => [nextViewId, byName.size],
};

function* sectionsOf(
  nextViewId: number,
  views: readonly ViewRecord[],
): Generator<Section, undefined> {
  if (nextViewId === 1) return;
  yield section(SECTION_VIEWS, (writer) => writer.varint(nextViewId));
  for (const { viewId, name, query, state } of views) {
    yield section(SECTION_VIEW, (writer) => {
      writer.varint(viewId);
      writer.text(name);
      writer.text(query);
      writer.varint(state === null ? 0 : state.length + 1);
    });
    if (state === null) continue;
    for (let at = 0; at < state.length; at += SECTION_BYTES_TARGET) {
      yield { tag: SECTION_VIEW_STATE, body: state.subarray(at, at + SECTION_BYTES_TARGET) };
    }
  }
}

type OpenView = Omit<ViewRecord, "state"> & {
  /** Null if no state was saved. */
  readonly state: Uint8Array | null;
  filled: number;
};

class ViewsRestorer implements PartRestorer<ViewsState> {
  readonly #views = new ViewsState();
  #open: OpenView | null = null;

  section(tag: number, reader: ByteReader): void {
    if (tag === SECTION_VIEWS) this.#begin(reader);
    else if (tag === SECTION_VIEW) this.#view(reader);
    else this.#state(reader);
  }

  #begin(reader: ByteReader): void {
    check(this.#views.nextViewId === 1, "views are told twice");
    this.#views.nextViewId = reader.varint();
    check(this.#views.nextViewId > 1, "there was never a view");
  }

  #view(reader: ByteReader): void {
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

  #state(reader: ByteReader): void {
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
