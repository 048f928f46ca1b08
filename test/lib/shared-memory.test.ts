/** Goal: numbers of several threads lose nothing. Method: real threads that change them at once. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { SharedGauge } from "../../src/lib/gauge.ts";
import type { Work } from "../tools/lib/gauge-worker.ts";

const THREADS = 3;
const ROUNDS = 50_000;

test("a gauge is the sum of what all threads added, and a lock lets one in at a time", async () => {
  const gauge = SharedGauge.memory(THREADS);
  const locked = new SharedArrayBuffer(16);
  const workers = Array.from(
    { length: THREADS },
    () => new Worker(join(import.meta.dir, "../tools/lib/gauge-worker.ts")),
  );
  const done = workers.map((worker, own) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    worker.onmessage = () => resolve();
    worker.postMessage({ gauge, own, locked, rounds: ROUNDS } satisfies Work);
    return promise;
  });
  await Promise.all(done);
  for (const worker of workers) worker.terminate();
  expect(new SharedGauge(gauge, 0).value).toBe(2 * THREADS * ROUNDS);
  expect(new Float64Array(locked)[0]).toBe(THREADS * ROUNDS);
});
