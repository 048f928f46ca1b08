/** A thread that adds to shared numbers; see `test/lib/shared-memory.test.ts`. */
import { SharedGauge } from "../../../src/lib/gauge.ts";
import { SharedLock } from "../../../src/lib/shared-lock.ts";

export type Work = {
  readonly gauge: SharedArrayBuffer;
  readonly own: number;
  readonly locked: SharedArrayBuffer;
  readonly rounds: number;
};

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<Work>) => {
  const gauge = new SharedGauge(data.gauge, data.own);
  const lock = new SharedLock(new Int32Array(data.locked, 8, 1));
  const sum = new Float64Array(data.locked, 0, 1);
  for (let i = 0; i < data.rounds; i++) {
    gauge.add(3);
    gauge.add(-1);
    lock.run(() => {
      sum[0] = (sum[0] ?? 0) + 1;
    });
  }
  self.postMessage("done");
};
