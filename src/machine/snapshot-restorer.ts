import { feature as faultPoint } from "bun:bundle";
import { readBrokerHeader } from "../broker/restorer.ts";
import { ByteReader, DecodeError } from "../lib/bytes.ts";
import type { Millis } from "../lib/ids.ts";
import { LEVEL_FIRST, LEVEL_KNOWN } from "../lib/log-levels.ts";
import { check } from "../lib/state-part.ts";
import { statesFrom } from "./parts.ts";
import { PartsRestorer } from "./parts-restorer.ts";
import { SECTION_END, SECTION_HEADER, SECTION_LEVEL } from "./snapshot-format.ts";
import { SectionSplitter } from "./snapshot-sections.ts";
import type { MachineState } from "./state.ts";

/**
 * Builds the machine's state from the bytes of a snapshot, as they come: chunks may be cut
 * anywhere, and may be reused once `push` has returned. `push` throws DecodeError for bytes that no
 * machine could have written.
 */
export class SnapshotRestorer {
  readonly #splitter = new SectionSplitter();
  /** Null until the header was read. */
  #parts: PartsRestorer | null = null;
  #level = LEVEL_FIRST;
  #now = 0 as Millis;
  #sections = 0;
  #isEnded = false;

  push(chunk: Uint8Array): void {
    this.#splitter.push(chunk);
    for (;;) {
      const section = this.#splitter.next();
      if (section === null) return;
      this.#restore(section.tag, new ByteReader(section.body));
      this.#sections++;
    }
  }

  /** @throws DecodeError if the snapshot is not whole. */
  finish(): MachineState {
    const parts = this.#parts;
    if (!this.#isEnded || this.#splitter.hasRest || parts === null) {
      throw new DecodeError("snapshot is cut off");
    }
    return { ...statesFrom(parts.finish()), level: this.#level, now: this.#now };
  }

  #restore(tag: number, reader: ByteReader): void {
    check(!this.#isEnded, "bytes after the end of the snapshot");
    check((tag === SECTION_HEADER) === (this.#sections === 0), "a snapshot begins with its header");
    if (this.#parts === null) this.#parts = this.#restoreHeader(reader);
    else if (tag === SECTION_LEVEL) this.#restoreLevel(reader);
    else if (tag === SECTION_END) this.#restoreEnd(reader);
    else this.#parts.section(tag, reader);
    check(reader.remaining === 0, "section is longer than its content");
  }

  #restoreHeader(reader: ByteReader): PartsRestorer {
    const now = reader.u64() as Millis;
    if (!faultPoint("snapshot-drops-ttl-clock")) this.#now = now;
    const broker = readBrokerHeader(reader, this.#now);
    return new PartsRestorer({ ...broker, nextNamespaceId: reader.varint() });
  }

  #restoreLevel(reader: ByteReader): void {
    check(this.#sections === 1, "the level comes right after the header");
    this.#level = reader.varint();
    check(this.#level > LEVEL_FIRST && this.#level <= LEVEL_KNOWN, "unknown level of the log");
  }

  #restoreEnd(reader: ByteReader): void {
    check(reader.u32() === this.#sections, "sections are missing");
    this.#isEnded = true;
  }
}
