/** A thread that writes entries into a ring; see `test/lib/ring.test.ts`. */
import { RingWriter } from "../../../src/lib/ring.ts";
import { entryAt } from "./ring-entries.ts";

export type RingWork = {
  readonly memory: SharedArrayBuffer;
  readonly count: number;
  readonly seed: number;
};

declare const self: Worker;

self.onmessage = ({ data: { memory, count, seed } }: MessageEvent<RingWork>) => {
  const ring = new RingWriter(memory);
  for (let n = 0; n < count; ) {
    const bytes = entryAt(seed, n);
    const entry = ring.reserve(4 + bytes.length);
    if (entry === null) continue;
    entry.putBlob(bytes);
    ring.publish();
    if (ring.takeSleeper()) self.postMessage("wake");
    n++;
  }
};
