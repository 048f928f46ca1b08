/** `bun run sim`: seeds through the simulator, from the command line. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
                   [--ms N] [--clients N] [--without kind,kind]
                   [--only kind,kind] [--log FILE]
       bun run sim --sum FILE
fault kinds: ${ALL_FAULT_KINDS.join(" ")}`;

/** Seeds that most probably nobody has run yet. */
function newRange(count: number): string {
  const first = freshSeed();
  const range = `${first}..${first + count - 1}`;
  console.log(`bun run sim --range ${range}`);
  return range;
}

function parse(args: readonly string[]): Arguments {
  const value = (name: string): string | null => {
    const at = args.indexOf(`--${name}`);
    return at < 0 ? null : (args[at + 1] ?? null);
  };
  const fresh = value("new");
  const range = fresh === null ? value("range") : newRange(Number(fresh));
  const [from = "1", to = from] = (range ?? value("seed") ?? "1").split("..");
  const kinds = (name: string): FaultKind[] => {
    const given = (value(name) ?? "").split(",").filter((kind) => kind !== "");
    for (const kind of given) {
      if (!ALL_FAULT_KINDS.includes(kind as FaultKind)) throw new Error(`${kind}?\n${USAGE}`);
    }
    return given as FaultKind[];
  };
  const only = kinds("only");
  const ms = value("ms");
  const clients = value("clients");
  return {
    from: Number(from),
    to: Number(to),
    trace: args.includes("--trace"),
    twice: args.includes("--twice"),
    shrink: args.includes("--shrink"),
    first: args.includes("--first"),
    jobs: Number(value("jobs") ?? "1"),
    log: value("log"),
    sum: value("sum"),
    overrides: {
      without: kinds("without"),
      ...(only.length === 0 ? {} : { only }),
      ...(ms === null ? {} : { durationMs: Number(ms) }),
      ...(clients === null ? {} : { clients: Number(clients) }),
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
  const rest = args.filter(
    (word, i) =>
      !["--range", "--new", "--jobs", "--log"].some((name) => [word, args[i - 1]].includes(name)),
  );
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
  if (args.includes("--help")) {
    console.log(USAGE);
    return 0;
  }
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
  if (args.includes("--new")) printNew(totals.failed, options.overrides);
  return totals.failed.length;
}

/** The failed seeds once more, behind all other output, to be copied from the log of a night. */
function printNew(failed: readonly number[], overrides: Overrides): void {
  for (const seed of failed) {
    console.log(`new failed seed: ${seed}; replay: ${commandOf(seed, overrides)} --trace`);
  }
}

if (import.meta.main) process.exit((await main(process.argv.slice(2))) === 0 ? 0 : 1);
