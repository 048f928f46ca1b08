/** Limits that count over all threads that serve HTTP. */
import { BUCKET_BYTES } from "../http/bucket-state.ts";
import type { SharedHttp } from "../http/options.ts";
import { type Gauge, SharedGauge } from "../lib/gauge.ts";

const GAUGES = [
  "queuedBytes",
  "queuedRequests",
  "answerBytes",
  "publicAnswerBytes",
  "bodyBytes",
  "publicBodyBytes",
  "followStreams",
] as const;

/** Passed to each thread by reference. */
export type SharedMemory = {
  readonly threads: number;
  readonly gauges: readonly SharedArrayBuffer[];
  /** Token buckets, in the order of the tokens. */
  readonly buckets: readonly SharedArrayBuffer[];
};

export type SharedLimits = Readonly<Record<(typeof GAUGES)[number], Gauge>> & {
  readonly http: SharedHttp;
};

/** @param tokens number of configured tokens. */
export const sharedMemory = (threads: number, tokens: number): SharedMemory => ({
  threads,
  gauges: GAUGES.map(() => SharedGauge.memory(threads)),
  buckets: Array.from({ length: tokens }, () => new SharedArrayBuffer(BUCKET_BYTES)),
});

/** @param own number of this thread, from 0. */
export function sharedLimits(memory: SharedMemory, own: number): SharedLimits {
  const gauges = Object.fromEntries(
    GAUGES.map((name, at) => [name, new SharedGauge(memory.gauges[at] as SharedArrayBuffer, own)]),
  ) as Readonly<Record<string, Gauge>> as Record<(typeof GAUGES)[number], Gauge>;
  const { answerBytes, publicAnswerBytes, bodyBytes, publicBodyBytes, followStreams } = gauges;
  return {
    ...gauges,
    http: {
      threads: memory.threads,
      answers: { all: answerBytes, open: publicAnswerBytes },
      bodies: { all: bodyBytes, open: publicBodyBytes },
      followStreams,
      buckets: memory.buckets,
      monotonicMs,
    },
  };
}

/** A clock that is the same on all threads. `performance.now` begins with its thread. */
function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
