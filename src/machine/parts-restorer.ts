import { type ByteReader, DecodeError } from "../lib/bytes.ts";
import type { PartRestorer } from "../lib/state-part.ts";
import { type NamedPart, namedParts, type PartStates } from "./parts.ts";

type Opened = {
  readonly name: string;
  readonly tags: readonly number[];
  readonly restorer: PartRestorer<unknown>;
};

/** Gives the sections of a snapshot to their parts. Parts come one after the other, in the order of the table. */
export class PartsRestorer {
  readonly #parts: readonly Opened[];
  #at = 0;
  isBegun = false;

  constructor(parts: readonly NamedPart[] = namedParts) {
    this.#parts = parts.map(([name, part]) => ({
      name,
      tags: part.tags,
      restorer: part.restorer(),
    }));
  }

  section(tag: number, body: ByteReader): void {
    const at = this.#parts.findIndex(({ tags }) => tags.includes(tag));
    if (at < 0) throw new DecodeError(`unknown section ${tag}`);
    if (at < this.#at) throw new DecodeError("parts are not in order");
    this.isBegun = true;
    this.#at = at;
    this.#parts[at]?.restorer.section(tag, body);
  }

  finish(): PartStates {
    const states = this.#parts.map(({ name, restorer }) => [name, restorer.finish()]);
    return Object.fromEntries(states) as PartStates;
  }
}
