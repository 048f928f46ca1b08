/** `bun run sim`: seeds through the simulator, from the command line. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../arguments.ts";
import { commandOf } from "./command.ts";
import { ALL_FAULT_KINDS, type FaultKind, freshSeed, type Overrides } from "./plan.ts";
import { type Report, simulate } from "./simulation.ts";
import { Totals } from "./totals.ts";

type Arguments = {
  readonly from: number;
  readonly to: number;
  readonly trace: boolean;
  readonly twice: boolean;
  readonly shrink: boolean;
  /** Stop at the first seed that fails. */
  readonly first: boolean;
  readonly jobs: number;
  /** Each run appends a line with its totals. */
  readonly log: string | null;
  /** Print what all runs of this log came to, and run nothing. */
  readonly sum: string | null;
  readonly overrides: Overrides;
};

const USAGE = `usage: bun run sim [--seed N | --range A..B | --new COUNT] [--jobs N] [--first] [--trace] [--twice] [--shrink]
                   [--ms N] [--clients N] [--streams] [--queues] [--webhooks] [--exports] [--shared]
                   [--without kind,kind] [--only kind,kind] [--log FILE]
       bun run sim --sum FILE
fault kinds: ${ALL_FAULT_KINDS.join(" ")}`;

const LINE = new CommandLine(USAGE);
const OPTIONS = {
  seed: { type: "string" },
  range: { type: "string" },
  new: { type: "string" },
  jobs: { type: "string" },
  first: { type: "boolean" },
  trace: { type: "boolean" },
  twice: { type: "boolean" },
  shrink: { type: "boolean" },
  ms: { type: "string" },
  clients: { type: "string" },
  streams: { type: "boolean" },
  queues: { type: "boolean" },
  exports: { type: "boolean" },
  webhooks: { type: "boolean" },
  shared: { type: "boolean" },
  without: { type: "string" },
  only: { type: "string" },
  log: { type: "string" },
  sum: { type: "string" },
} as const;
/** Options that a job is given anew. */
const OF_ALL_JOBS = ["range", "new", "seed", "jobs", "log"];

/** Seeds that most probably nobody has run yet. */
function newRange(count: number): string {
  const first = freshSeed();
  const range = `${first}..${first + count - 1}`;
  console.log(`bun run sim --range ${range}`);
  return range;
}

function parse(args: readonly string[]): Arguments {
  const { values } = LINE.read(OPTIONS, 0, [...args]);
  const fresh = values.new;
  const ways = [fresh, values.range, values.seed].filter((each) => each !== undefined);
  if (ways.length > 1) LINE.refused("--seed, --range and --new exclude each other");
  const range = fresh === undefined ? values.range : newRange(LINE.integer("--new", fresh, 1));
  const [from, to = from] = (range ?? values.seed ?? "1").split("..", 2);
  const kinds = (what: string, given = ""): FaultKind[] =>
    given
      .split(",")
      .filter((kind) => kind !== "")
      .map((kind) => LINE.oneOf(what, kind, ALL_FAULT_KINDS));
  const only = kinds("--only", values.only);
  const { ms, clients } = values;
  return {
    from: LINE.integer("seed", from, 1),
    to: LINE.integer("seed", to, 1),
    trace: values.trace === true,
    twice: values.twice === true,
    shrink: values.shrink === true,
    first: values.first === true,
    jobs: LINE.integer("--jobs", values.jobs, 1),
    log: values.log ?? null,
    sum: values.sum ?? null,
    overrides: {
      without: kinds("--without", values.without),
      ...(only.length === 0 ? {} : { only }),
      ...(values.streams === true ? { streams: true } : {}),
      ...(values.queues === true ? { queues: true } : {}),
      ...(values.exports === true ? { exports: true } : {}),
      ...(values.webhooks === true ? { webhooks: true } : {}),
      ...(values.shared === true ? { shared: true } : {}),
      ...(ms === undefined ? {} : { durationMs: LINE.integer("--ms", ms, 0) }),
      ...(clients === undefined ? {} : { clients: LINE.integer("--clients", clients, 0) }),
    },
  };
}

/** Fewer kinds of faults, less time, fewer clients, as long as the same rule is broken. */
async function shrink(report: Report, overrides: Overrides): Promise<Overrides> {
  const { seed } = report.plan;
  const ruleOf = ({ violation }: Report) => violation?.message.split(":")[0];
  const rule = ruleOf(report);
  let best = overrides;
  const attempt = async (next: Overrides) => {
    if (ruleOf(await simulate(seed, next)) === rule) best = next;
  };
  for (let ms = report.plan.durationMs; ms > 200; ms = Math.floor(ms / 2)) {
    await attempt({ ...best, durationMs: ms });
    if (best.durationMs !== ms) break;
  }
  for (const kind of report.plan.faults) {
    await attempt({ ...best, without: [...(best.without ?? []), kind] });
  }
  for (const clients of [1, 2, 3]) {
    if ((best.clients ?? report.plan.clients) > clients) await attempt({ ...best, clients });
    if (best.clients === clients) break;
  }
  return best;
}

async function one(seed: number, options: Arguments, totals: Totals): Promise<void> {
  const { overrides, trace, twice } = options;
  const report = await simulate(seed, overrides, trace ? (line) => console.log(line) : null);
  totals.add(report);
  if (twice) {
    const again = await simulate(seed, overrides);
    if (again.hash !== report.hash || again.events !== report.events) {
      console.log(`seed ${seed} is not deterministic: ${report.hash} and ${again.hash}`);
      totals.failed.push(seed);
    }
  }
  if (report.violation === null) return;
  console.log(`seed ${seed} after ${report.events} events: ${report.violation.message}`);
  if (trace) console.log(report.violation.stack, report.violation.cause);
  const smallest = options.shrink ? await shrink(report, overrides) : overrides;
  console.log(`  replay: ${commandOf(seed, smallest)} --trace`);
}

async function inJobs(options: Arguments, args: readonly string[]): Promise<Totals> {
  const { from, to, jobs } = options;
  const directory = mkdtempSync(join(tmpdir(), "ayder-sim-"));
  const log = join(directory, "totals");
  const isOfAll = (word: string, before: string | undefined) =>
    OF_ALL_JOBS.some((name) => [word, before, word.split("=")[0]].includes(`--${name}`));
  const rest = args.filter((word, i) => !isOfAll(word, args[i - 1]));
  const size = Math.ceil((to - from + 1) / jobs);
  const children = Array.from({ length: jobs }, (_, i) => {
    const first = from + i * size;
    const range = `${first}..${Math.min(to, first + size - 1)}`;
    const command = [process.execPath, import.meta.path, ...rest, "--range", range, "--log", log];
    return Bun.spawn(command, { stdout: "inherit", stderr: "inherit" });
  });
  const codes = await Promise.all(children.map(({ exited }) => exited));
  const totals = new Totals();
  totals.read(log);
  if (codes.some((code) => code !== 0) && totals.failed.length === 0)
    throw new Error("a job broke");
  rmSync(directory, { recursive: true });
  return totals;
}

async function inOrder(options: Arguments): Promise<Totals> {
  const begin = performance.now();
  const totals = new Totals();
  for (let seed = options.from; seed <= options.to; seed++) {
    await one(seed, options, totals);
    if (options.first && totals.failed.length > 0) break;
  }
  totals.counters.seconds = (performance.now() - begin) / 1000;
  return totals;
}

async function main(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options.sum !== null) {
    const totals = new Totals();
    totals.read(options.sum);
    totals.print();
    return totals.failed.length;
  }
  const totals = await (options.jobs > 1 ? inJobs(options, args) : inOrder(options));
  if (options.log !== null) totals.append(options.log);
  totals.print();
  if (args.some((word) => /^--new(=|$)/.test(word))) printNew(totals.failed, options.overrides);
  return totals.failed.length;
}

/** The failed seeds once more, behind all other output, to be copied from the log of a night. */
function printNew(failed: readonly number[], overrides: Overrides): void {
  for (const seed of failed) {
    console.log(`new failed seed: ${seed}; replay: ${commandOf(seed, overrides)} --trace`);
  }
}

if (import.meta.main) process.exit((await main(process.argv.slice(2))) === 0 ? 0 : 1);
