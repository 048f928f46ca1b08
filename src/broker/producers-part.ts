/** The producers as a part of the replicated state. */
import { feature as faultPoint } from "bun:bundle";
import type { Section, StatePart } from "../lib/state-part.ts";
import { ProducersState } from "./producers.ts";

/** The machine, as far as commands about producers need it. */
export type HasProducers = { readonly parts: { readonly producers: ProducersState } };

const SECTION_PRODUCERS = 25;

export const producersPart: StatePart<ProducersState> = {
  tags: [SECTION_PRODUCERS],
  empty: () => new ProducersState(),
  capture: (state) => sections(state.capture()),
  restorer() {
    const restorer = ProducersState.restorer();
    return {
      section: (_tag, body) => restorer.push(body),
      finish: () => restorer.finish(),
    };
  },
  digest: (state, sink) => state.digest(sink.writer, () => sink.flush()),
  counts: (state) => state.counts(),
};

function* sections(pieces: Iterator<Uint8Array>): Generator<Section, void> {
  if (faultPoint("producers-missing-in-snapshots")) return;
  for (let piece = pieces.next(); piece.done !== true; piece = pieces.next()) {
    yield { tag: SECTION_PRODUCERS, body: piece.value };
  }
}
