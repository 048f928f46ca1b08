/** One part of the replicated state, described in one place: snapshots, restores and checksums walk it. */
import { type ByteReader, ByteWriter, DecodeError } from "./bytes.ts";

/** The number of bytes that a section of a snapshot should have. */
export const SECTION_BYTES_TARGET = 32 * 1024;

/** A piece of a part in a snapshot. */
export type Section = { readonly tag: number; readonly body: Uint8Array };

/** Receives the whole state of a part, a piece at a time. */
export interface DigestSink {
  readonly writer: ByteWriter;
  /** Must be called now and then, so that the writer stays small. */
  flush(): void;
}

/**
 * @typeParam S the state of the part. It is changed in place by commands.
 * @typeParam H the part of the snapshot's header that a restore needs.
 */
export type StatePart<S, H = unknown> = {
  /** Tags of its sections. Never renumber: snapshots are kept for years. */
  readonly tags: readonly number[];
  empty(): S;
  /**
   * Captures the state as it is at the call. Commands change the state while the sections are taken,
   * so a part that is small encodes itself at once, and a large one copies what is about to change
   * until it was taken, or until `return` of the iterator is called.
   *
   * @returns sections of about `SECTION_BYTES_TARGET`, none for a state that is as good as empty:
   *   versions that do not know the part can then read the snapshot.
   */
  capture(state: S): Iterator<Section>;
  restorer(header: H): PartRestorer<S>;
  /** Writes the logical state: equal for equal states, however they came about. */
  digest(state: S, sink: DigestSink): void;
  /** Numbers that nodes compare every few thousand entries, such as a count and the next id. */
  counts(state: S): readonly number[];
};

export interface PartRestorer<S> {
  /**
   * Takes a section. It must read all of it, and copies the bytes that it keeps.
   *
   * @throws DecodeError for a state that no machine could have written.
   */
  section(tag: number, body: ByteReader): void;
  /** Called once, also if there was no section. @throws DecodeError if something is missing. */
  finish(): S;
}

/** Writes the sections of one kind, and begins another one when one is full. */
export class SectionWriter {
  readonly #tag: number;
  readonly writer = new ByteWriter(SECTION_BYTES_TARGET + 1024);

  constructor(tag: number) {
    this.#tag = tag;
  }

  get isFull(): boolean {
    return this.writer.length >= SECTION_BYTES_TARGET;
  }

  /** The section that was written. The next one is empty. */
  take(): Section {
    const body = this.writer.take();
    this.writer.clear();
    return { tag: this.#tag, body };
  }
}

/** A section that is written at once. */
export function section(tag: number, write: (writer: ByteWriter) => void): Section {
  const writer = new ByteWriter(64);
  write(writer);
  return { tag, body: writer.take() };
}

/** @throws DecodeError unless the condition holds. */
export function check(condition: boolean, otherwise: string): void {
  if (!condition) throw new DecodeError(otherwise);
}
