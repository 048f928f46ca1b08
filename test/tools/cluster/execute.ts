/** One run from the first start to the verdict. */
import { check, type Verdict } from "../history/check.ts";
import type { Operation } from "../history/operations.ts";
import type { Demands } from "../history/vacuity.ts";
import { Client } from "./client.ts";
import { ELECTION_TIMEOUT_MS } from "./cluster.ts";
import { PARTITIONS, TOPIC } from "./knowledge.ts";
import { Observer } from "./observer.ts";
import { Run, type RunOptions } from "./run-state.ts";
import type { Scenario } from "./scenarios.ts";
import { converge, dumpAll, heal, waitForWrite } from "./settle.ts";
import { Workload } from "./workload.ts";

export type Report = {
  readonly verdict: Verdict;
  readonly findings: readonly string[];
  readonly notes: readonly string[];
  /** From each loss of a leader to the next acknowledged write, in ms. */
  readonly takeovers: readonly number[];
  readonly operations: readonly Operation[];
  readonly passed: boolean;
};

/** Acknowledged produces that a second of a run must have at least, or it shows nothing. */
const OK_PRODUCES_PER_SECOND = 10;

export async function execute(scenario: Scenario, options: RunOptions): Promise<Report> {
  const environment = { ...scenario.environment, ...options.environment };
  const run = new Run({ ...options, environment });
  try {
    if (await prepare(run)) await live(run, scenario);
  } finally {
    await run.cluster.stop();
  }
  const { operations } = run.recorder;
  noteTakeovers(run);
  for (const [effect, count] of run.effects) run.notes.push(`${effect}: ${count}`);
  if (run.cluster.links?.relayed === 0)
    run.findings.push("no connection could have been disturbed");
  const wrongClocks = scenario.clocks === true;
  const verdict = check(operations, { demands: demandsOf(scenario, options), wrongClocks });
  const { findings, notes, takeovers } = run;
  const passed = verdict.kind === "passed" && findings.length === 0;
  return { verdict, findings, notes, takeovers, operations, passed };
}

/** @returns false if the cluster never came to work; the reason is among the findings. */
async function prepare(run: Run): Promise<boolean> {
  run.cluster.startInitialMembers();
  const client = new Client("setup", run.cluster);
  const body = JSON.stringify({ name: TOPIC, partitions: PARTITIONS });
  const request = { method: "POST", target: "/broker/topics", body } as const;
  const created = await run.until(async () => {
    const answer = await client.send(run.random.pick(run.members), request);
    return answer.outcome === "ok" ? answer : null;
  });
  client.close();
  if (created !== null) return true;
  const logs = run.members.map((node) => `${node.id} (${node.state}):\n${node.logTail(10)}`);
  run.findings.push(`the cluster never took a write\n${logs.join("\n")}`);
  return false;
}

async function live(run: Run, scenario: Scenario): Promise<void> {
  const { cluster, recorder, knowledge, options } = run;
  const { seed, clients, pauseMs } = options;
  const workload = new Workload({ cluster, recorder, knowledge, seed, clients, pauseMs });
  const observer = new Observer(run);
  observer.start();
  workload.start();
  try {
    run.begin();
    await scenario.act(run, observer);
    heal(run);
    await waitForWrite(run);
  } finally {
    await workload.stop();
    await observer.stop();
  }
  await dumpAll(run, await converge(run));
}

function demandsOf({ demands }: Scenario, { seconds, size }: RunOptions): Partial<Demands> {
  const scale = (count = 0) => Math.floor((count * seconds) / 10);
  const isAlone = size === 1;
  return {
    okProduces: OK_PRODUCES_PER_SECOND * seconds,
    dumps: 1,
    faults: scale(demands.faults),
    leaderChanges: isAlone ? 0 : scale(demands.leaderChanges),
  };
}

function noteTakeovers({ takeovers, notes }: Run): void {
  if (takeovers.length === 0) return;
  const times = takeovers.toSorted((a, b) => a - b);
  const median = Math.round(times[times.length >> 1] ?? 0);
  const longest = Math.round(times.at(-1) ?? 0);
  const within = times.filter((ms) => ms <= 2 * ELECTION_TIMEOUT_MS).length;
  notes.push(
    `first write after losing the leader: median ${median} ms, longest ${longest} ms, ` +
      `${within} of ${times.length} within two election timeouts of ${ELECTION_TIMEOUT_MS} ms`,
  );
}
