import { type ByteReader, DecodeError } from "../lib/bytes.ts";
import type { PartRestorer } from "../lib/state-part.ts";
import { type NamedPart, namedParts, type RestoreHeader } from "./parts.ts";

type Opened = {
  readonly name: string;
  readonly tags: readonly number[];
  readonly restorer: PartRestorer<unknown>;
};

/** Gives the sections of a snapshot to their parts. Parts come one after the other, in the order of the table. */
export class PartsRestorer {
  readonly #parts: readonly Opened[];
  #at = 0;

  constructor(header: RestoreHeader, parts: readonly NamedPart[] = namedParts) {
    this.#parts = parts.map(([name, part]) => ({
      name,
      tags: part.tags,
      restorer: part.restorer(header),
    }));
  }

  section(tag: number, body: ByteReader): void {
    const at = this.#parts.findIndex(({ tags }) => tags.includes(tag));
    if (at < 0) throw new DecodeError(`unknown section ${tag}`);
    if (at < this.#at) throw new DecodeError("parts are not in order");
    this.#at = at;
    this.#parts[at]?.restorer.section(tag, body);
  }

  /** The states of all parts by name. */
  finish(): Readonly<Record<string, unknown>> {
    return Object.fromEntries(this.#parts.map(({ name, restorer }) => [name, restorer.finish()]));
  }
}
