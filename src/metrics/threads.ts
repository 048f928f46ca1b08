/** Sums the counters of all threads of the process for a scrape. */
import type { Cell, Histogram } from "./histogram.ts";
import {
  COUNTERS,
  createInstruments,
  DAMAGE_KINDS,
  GAUGES,
  HISTOGRAMS,
  type Instruments,
  RouteMeter,
} from "./instruments.ts";
import type { ThreadSample } from "./sources.ts";

export type AllThreads = {
  readonly instruments: Instruments;
  /** Sum of the other threads. */
  readonly heapUsedBytes: number;
  /** Infinity without others. */
  readonly startedAtSeconds: number;
};

/** @param others plain objects with the fields of instruments, as received from their threads. */
export function sumOfThreads(own: Instruments, others: readonly ThreadSample[]): AllThreads {
  const heapUsedBytes = others.reduce((sum, other) => sum + other.heapUsedBytes, 0);
  const startedAtSeconds = Math.min(...others.map((other) => other.startedAtSeconds));
  const instruments = createInstruments();
  for (const each of [own, ...others.map((other) => other.instruments)]) add(instruments, each);
  return { instruments, heapUsedBytes, startedAtSeconds };
}

function add(sum: Instruments, each: Instruments): void {
  for (const name of keysOf(HISTOGRAMS)) addHistogram(sum[name], each[name]);
  for (const name of keysOf(COUNTERS)) addCell(sum[name], each[name]);
  for (const name of keysOf(GAUGES)) addCell(sum[name], each[name]);
  for (const kind of DAMAGE_KINDS) {
    addCell(sum.damage[kind], each.damage[kind]);
    addCell(sum.repairs[kind], each.repairs[kind]);
  }
  for (const meter of each.routes) addRoute(sum.routes, meter);
}

function addRoute(routes: RouteMeter[], each: RouteMeter): void {
  let sum = routes.find(({ route }) => route === each.route);
  if (sum === undefined) {
    sum = new RouteMeter(each.route);
    routes.push(sum);
  }
  for (const [digit, count] of each.counts.entries()) {
    sum.counts[digit] = (sum.counts[digit] ?? 0) + count;
  }
  addHistogram(sum.seconds, each.seconds);
}

function addHistogram(sum: Histogram, each: Histogram): void {
  for (const [bucket, count] of each.counts.entries()) {
    sum.counts[bucket] = (sum.counts[bucket] ?? 0) + count;
  }
  sum.sum += each.sum;
  sum.count += each.count;
}

function addCell(sum: Cell, each: Cell): void {
  sum.value += each.value;
}

const keysOf = <T extends object>(table: T) => Object.keys(table) as (keyof T)[];
