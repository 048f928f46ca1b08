/**
 * Writes that are spread over the nodes of a cluster, beside the same load at the leader alone: the rate,
 * and the CPU time of the leader's main thread for each answered request.
 */
import type { LoadResult } from "./generator.ts";
import { medianOf, runGenerator } from "./measure.ts";
import type { ThreeNodes } from "./nodes.ts";
import { cpuMicros } from "./subject.ts";
import { runWrk } from "./wrk.ts";

type Way = "leader" | "all nodes" | "followers";
const WAYS: readonly Way[] = ["leader", "all nodes", "followers"];

type Run = {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  /** Microseconds of the main thread of the leader, and of all threads of all nodes. */
  readonly leaderUs: number;
  readonly allUs: number;
};

export type ForwardingOptions = {
  readonly nodes: ThreeNodes;
  /** HTTP port of the leader. */
  readonly leader: number;
  /** Raw requests, base64. */
  readonly requests: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
};

/** Measures each number of requests in flight in alternating rounds, and prints a table. */
export async function measureForwarding(
  options: ForwardingOptions,
  inFlight: readonly number[],
): Promise<void> {
  for (const connections of inFlight) {
    const runs = new Map<Way, Run[]>(WAYS.map((way) => [way, []]));
    for (let round = 0; round < options.rounds; round++) {
      // Each round begins with another way.
      for (let n = 0; n < WAYS.length; n++) {
        const way = WAYS[(n + round) % WAYS.length] as Way;
        runs.get(way)?.push(await runOnce(options, way, connections));
      }
    }
    for (const [way, list] of runs) show(way, connections, list);
  }
}

async function runOnce(options: ForwardingOptions, way: Way, connections: number): Promise<Run> {
  const { nodes, leader, requests, seconds } = options;
  const ports = nodes.ports.filter(
    (port) => way === "all nodes" || (port === leader) === (way === "leader"),
  );
  const pids = nodes.ports.map((_, node) => nodes.pidOf(node));
  const leaderPid = pids[nodes.ports.indexOf(leader)] ?? 0;
  const used = () => Promise.all(pids.map((pid) => cpuMicros(pid)));
  const before = await used();
  // As many in all for each way, so some nodes have one more than others.
  const shareOf = (at: number) => Math.floor((connections + at) / ports.length);
  const generate = Bun.which("wrk") === null ? runGenerator : runWrk;
  const results = await Promise.all(
    ports.map((port, at) =>
      generate({ port, requests, connections: shareOf(at), warmupSeconds: 1, seconds }),
    ),
  );
  const after = await used();
  const answered = sum(results, (result) => result.answered);
  const spent = after.map(({ main, others }, i) => ({
    main: main - (before[i]?.main ?? 0),
    others: others - (before[i]?.others ?? 0),
  }));
  return {
    perSecond: sum(results, (result) => result.perSecond),
    p50Ms: medianOf(results.map((result) => result.p50Ms)),
    p99Ms: Math.max(...results.map((result) => result.p99Ms)),
    errors: sum(results, (result) => result.errors),
    leaderUs: (spent[pids.indexOf(leaderPid)]?.main ?? 0) / answered,
    allUs: spent.reduce((total, { main, others }) => total + main + others, 0) / answered,
  };
}

const sum = (results: readonly LoadResult[], of: (result: LoadResult) => number): number =>
  results.reduce((total, result) => total + of(result), 0);

function show(way: Way, connections: number, runs: readonly Run[]): void {
  const median = (of: (run: Run) => number) => medianOf(runs.map(of));
  const rate = Math.round(median((run) => run.perSecond)).toLocaleString("en");
  console.log(
    `single produce at ${way.padEnd(10)} ${String(connections).padStart(4)} in flight ` +
      `${rate.padStart(8)}/s  p50 ${median((run) => run.p50Ms).toFixed(2)} ms  ` +
      `p99 ${median((run) => run.p99Ms).toFixed(2)} ms  ` +
      `main thread of the leader ${median((run) => run.leaderUs).toFixed(1)} µs  ` +
      `all nodes ${median((run) => run.allUs).toFixed(1)} µs  ` +
      `errors ${runs.reduce((total, run) => total + run.errors, 0)}`,
  );
}
