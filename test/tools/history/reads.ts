/** Rules 5, 7, 8 and 10 of a partition: what a page may show at its time. */
import type { Consume, DeleteBefore, Dump } from "./operations.ts";
import type { PartitionHistory, PartitionLog } from "./partition-log.ts";
import { LargestBefore, type Moment, SmallestFrom } from "./timeline.ts";
import { Violation } from "./violation.ts";

type Page = NonNullable<Consume["result"]>;
type Read = { readonly by: Consume; readonly page: Page };

/** @throws Violation */
export function checkReads(history: PartitionHistory, log: PartitionLog): void {
  const reads: Read[] = [];
  for (const by of history.consumes) {
    if (by.outcome === "ok" && by.result !== null) reads.push({ by, page: by.result });
  }
  for (const { by, page } of reads) {
    checkShape(by, page);
    const before = log.appendAt(page.end - 1);
    if (page.end > 0 && before !== null && before === log.appendAt(page.end)) {
      throw new Violation("torn-batch", `the end ${page.end} is inside a batch`, by);
    }
  }
  checkVisible(reads, history.dumps, log);
  checkFloor(reads, history);
  checkSessions(reads);
}

/** The page itself: contiguous from where it must begin, and complete where it says so. */
function checkShape(by: Consume, page: Page): void {
  const { messages, low, end, next } = page;
  const asked = by.args.offset ?? page.committed;
  const start = Math.max(asked, low);
  for (const [i, [offset]] of messages.entries()) {
    if (offset !== start + i) {
      throw new Violation("density", `${start + i} expected, ${offset} came`, by);
    }
  }
  const last = start + messages.length;
  const beyond = messages.length === 0 && start > end;
  // A page that begins at the floor may have lost its first records while it was read.
  const trimmed = asked < low;
  const whole = messages.length < by.args.limit && !page.truncated && !trimmed;
  const wrongNext = next !== last || (whole && next < end && !beyond);
  if (low <= end && !wrongNext && messages.length <= by.args.limit && (beyond || last <= end)) {
    return;
  }
  const what = `a page of ${messages.length} from ${start} with next ${next} in [${low}, ${end})`;
  throw new Violation("density", what, by);
}

/** No linearizable read misses what had been acknowledged or seen; nobody sees the future. */
function checkVisible(reads: readonly Read[], dumps: readonly Dump[], log: PartitionLog): void {
  const acknowledged: Moment[] = [];
  const future: Moment[] = [];
  for (const { append, first } of log.located) {
    const [by] = append.attempts;
    if (by === undefined) continue;
    const end = first + append.values.length;
    if (append.ret !== Number.POSITIVE_INFINITY) {
      acknowledged.push({ time: append.ret, value: end, by });
    }
    future.push({ time: append.call as number, value: first, by });
  }
  const seen = reads
    .filter(({ by }) => by.args.linearizable)
    .map(({ by, page }) => ({ time: by.ret, value: page.end, by }));
  const known = new LargestBefore([...acknowledged, ...seen]);
  const unborn = new SmallestFrom(future);
  for (const { by, page } of reads) {
    if (by.args.linearizable) requireAtLeast(page.end, known.at(by.call), by);
    const first = unborn.at(by.ret);
    if (first === null || page.end <= first.value) continue;
    const what = `the end is ${page.end}, but ${first.value} was sent only after this read`;
    throw new Violation("early-read", what, by, first.by);
  }
  for (const dump of dumps) {
    if (dump.result !== null) requireAtLeast(dump.result.end, known.at(dump.call), dump);
  }
}

function requireAtLeast(end: number, known: Moment | null, by: Consume | Dump): void {
  if (known === null || end >= known.value) return;
  const rule = by.op === "dump" ? "loss" : "stale-read";
  throw new Violation(rule, `the end is ${end}, ${known.value} was known before`, known.by, by);
}

/** The low watermark is a register that only grows, written by deletions. */
function checkFloor(reads: readonly Read[], history: PartitionHistory): void {
  const ok = history.deletions.filter(({ outcome }) => outcome === "ok");
  const moments: Moment[] = ok.map((by) => ({ time: by.ret, value: by.args.before, by }));
  for (const { by, page } of reads) {
    if (by.args.linearizable) moments.push({ time: by.ret, value: page.low, by });
  }
  const floor = new LargestBefore(moments);
  const firstCall = earliestCalls(history.deletions);
  const all = [
    ...reads.map(({ by, page }) => ({ by, low: page.low, exact: by.args.linearizable })),
    ...history.dumps.map((by) => ({ by, low: by.result?.low ?? 0, exact: true })),
  ];
  for (const { by, low, exact } of all) {
    const known = exact ? floor.at(by.call) : null;
    if (known !== null && low < known.value) {
      throw new Violation("floor", `begins at ${low}, the floor is ${known.value}`, known.by, by);
    }
    if (low === 0 || history.retention || (firstCall.get(low) ?? by.ret) < by.ret) continue;
    throw new Violation("floor", `begins at ${low}, which nobody had asked for`, by);
  }
}

/** When each floor was first asked for; a refused request cannot have set one. */
function earliestCalls(deletions: readonly DeleteBefore[]): Map<number, number> {
  const calls = new Map<number, number>();
  for (const { args, call, outcome } of deletions) {
    if (outcome === "fail") continue;
    calls.set(args.before, Math.min(calls.get(args.before) ?? call, call));
  }
  return calls;
}

/** One client at one node never sees less than before, however far the node lags. */
function checkSessions(reads: readonly Read[]): void {
  const last = new Map<string, Read>();
  for (const read of [...reads].sort((a, b) => a.by.call - b.by.call)) {
    const { session } = read.by.args;
    const before = last.get(session);
    if (before !== undefined && before.by.ret < read.by.call) {
      const back = read.page.end < before.page.end || read.page.low < before.page.low;
      if (back) throw new Violation("session", "a node went back", before.by, read.by);
    }
    if (before === undefined || read.page.end >= before.page.end) last.set(session, read);
  }
}
