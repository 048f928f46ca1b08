import { writeBrokerHeader } from "../broker/restorer.ts";
import { ByteWriter } from "../lib/bytes.ts";
import { LEVEL_FIRST } from "../lib/log-levels.ts";
import { SECTION_BYTES_TARGET, type Section, section } from "../lib/state-part.ts";
import { namedParts, stateOf } from "./parts.ts";
import {
  SECTION_END,
  SECTION_HEADER,
  SECTION_LEVEL,
  SNAPSHOT_MAGIC,
  SNAPSHOT_VERSION,
} from "./snapshot-format.ts";
import type { MachineState } from "./state.ts";

/**
 * The machine's state at the instant of construction, encoded piece by piece while `apply` goes
 * on. Each part knows how it keeps what it had at that instant: see `StatePart.capture`.
 */
export class MachineSnapshot {
  readonly #writer = new ByteWriter(2 * SECTION_BYTES_TARGET);
  readonly #parts: readonly Iterator<Section>[];
  #steps: Iterator<Section> | null;
  #sections = 0;

  constructor(state: MachineState) {
    this.#writer.u32(SNAPSHOT_MAGIC);
    this.#writer.u8(SNAPSHOT_VERSION);
    this.#parts = captureParts(state);
    this.#steps = sectionsOf(headOf(state), this.#parts);
  }

  /**
   * The following bytes of the snapshot, null when all were given.
   *
   * @param maxBytes about this many; more where a single value is larger.
   */
  next(maxBytes: number): Uint8Array | null {
    while (this.#steps !== null && this.#writer.length < maxBytes) this.#step(this.#steps);
    if (this.#writer.length === 0) return null;
    const bytes = this.#writer.take();
    this.#writer.clear();
    return bytes;
  }

  /** Releases the captured state. `next` then returns null. */
  abandon(): void {
    this.#steps = null;
    this.#writer.clear();
    for (const part of this.#parts) part.return?.();
  }

  #step(steps: Iterator<Section>): void {
    const { done, value } = steps.next();
    if (done !== true) {
      this.#write(value);
      return;
    }
    const count = this.#sections;
    this.#write(section(SECTION_END, (writer) => writer.u32(count)));
    this.#steps = null;
  }

  #write({ tag, body }: Section): void {
    this.#writer.u8(tag);
    this.#writer.u32(body.length);
    this.#writer.raw(body);
    this.#sections++;
  }
}

/** Sections before the parts. They are small, so they are encoded at once. */
function headOf({ now, broker, kv, level }: MachineState): Section[] {
  const header = section(SECTION_HEADER, (writer) => {
    writer.u64(now);
    writeBrokerHeader(writer, broker);
    writer.varint(kv.nextNamespaceId);
  });
  if (level === LEVEL_FIRST) return [header];
  return [header, section(SECTION_LEVEL, (writer) => writer.varint(level))];
}

const captureParts = (state: MachineState): Iterator<Section>[] =>
  namedParts.map(([name, part]) => part.capture(stateOf(state, name)));

function* sectionsOf(
  head: readonly Section[],
  parts: readonly Iterator<Section>[],
): Generator<Section, undefined> {
  yield* head;
  for (const part of parts) {
    for (let next = part.next(); next.done !== true; next = part.next()) yield next.value;
  }
}
