import { ByteWriter } from "../lib/bytes.ts";
import { crc32 } from "../lib/crc32.ts";
import type { DigestSink } from "../lib/state-part.ts";
import { namedParts, stateOf } from "./parts.ts";
import type { MachineState } from "./state.ts";

/**
 * One number for the whole logical state. It leaves out what may differ between equal states: how
 * keys are spread over buckets, the order of maps, epochs.
 */
export function digestState(state: MachineState): number {
  const digest = new Digest();
  digest.writer.u64(state.now);
  digest.writer.u64(state.level);
  for (const [name, part] of namedParts) part.digest(stateOf(state, name), digest);
  return digest.finish();
}

/** CRC of what is written, a piece at a time. */
class Digest implements DigestSink {
  readonly writer = new ByteWriter(1 << 16);
  #crc = 0;

  flush(): void {
    if (this.writer.length < 1 << 15) return;
    this.finish();
  }

  finish(): number {
    this.#crc = crc32(this.writer.view(), this.#crc);
    this.writer.clear();
    return this.#crc;
  }
}
