/** Rule 9: a committed offset is a register that only grows. */
import { type Commit, type Consume, type Dump, groupBy, type Operation } from "./operations.ts";
import { LargestBefore } from "./timeline.ts";
import { Violation } from "./violation.ts";

type Seen = {
  readonly by: Operation;
  readonly value: number;
  readonly exact: boolean;
  readonly session: string | null;
  /** A group that has committed nothing is shown where its reading would begin. */
  readonly low: number;
};

/** @throws Violation */
export function checkCommits(
  commits: readonly Commit[],
  consumes: readonly Consume[],
  dumps: readonly Dump[],
): void {
  const groups = groupBy(commits, ({ args }) => args.group);
  const reads = groupBy(
    consumes.filter(({ outcome, result }) => outcome === "ok" && result !== null),
    ({ args }) => args.group,
  );
  for (const group of new Set([...groups.keys(), ...reads.keys()])) {
    const own = groups.get(group) ?? [];
    const seen = [
      ...own.flatMap((by) => (by.outcome === "ok" ? [ofCommit(by)] : [])),
      ...(reads.get(group) ?? []).map(ofConsume),
      ...dumps.flatMap((by) => ofDump(by, group)),
    ];
    checkGroup(own, seen);
  }
}

const ofCommit = (by: Commit): Seen => {
  const value = by.result?.committed ?? 0;
  if (value < by.args.offset) {
    throw new Violation("commit", `committed ${by.args.offset}, answered ${value}`, by);
  }
  return { by, value, exact: true, session: null, low: 0 };
};

const ofConsume = (by: Consume): Seen => ({
  by,
  value: by.result?.committed ?? 0,
  exact: by.args.linearizable,
  session: by.args.session,
  low: by.result?.low ?? 0,
});

function ofDump(by: Dump, group: string): Seen[] {
  const value = by.result?.committed[group];
  const low = by.result?.low ?? 0;
  return value === undefined ? [] : [{ by, value, exact: true, session: null, low }];
}

function checkGroup(commits: readonly Commit[], shown: readonly Seen[]): void {
  const firstCall = earliestCalls(commits);
  const asked = (value: number, by: Operation) =>
    (firstCall.get(value) ?? Number.POSITIVE_INFINITY) < by.ret;
  const seen = shown.map((one) =>
    one.value === one.low && !asked(one.value, one.by) ? { ...one, value: 0 } : one,
  );
  const known = new LargestBefore(
    seen.filter(({ exact }) => exact).map(({ by, value }) => ({ time: by.ret, value, by })),
  );
  for (const { by, value, exact } of seen) {
    if (value !== 0 && !asked(value, by)) {
      throw new Violation("commit", `${value} is committed, but nobody had asked for it`, by);
    }
    const before = exact ? known.at(by.call) : null;
    if (before === null || value >= before.value) continue;
    const what = `${value} is committed, it had been ${before.value}`;
    throw new Violation("commit", what, before.by, by);
  }
  checkSessions(seen);
}

function earliestCalls(commits: readonly Commit[]): Map<number, number> {
  const calls = new Map<number, number>();
  for (const { args, call, outcome } of commits) {
    if (outcome === "fail") continue;
    calls.set(args.offset, Math.min(calls.get(args.offset) ?? call, call));
  }
  return calls;
}

function checkSessions(seen: readonly Seen[]): void {
  const sessions = new Map<string, Seen>();
  for (const one of [...seen].sort((a, b) => a.by.call - b.by.call)) {
    const { by, value, session } = one;
    if (session === null) continue;
    const last = sessions.get(session);
    if (last !== undefined && last.by.ret < by.call && value < last.value) {
      throw new Violation("session", `committed went back to ${value}`, last.by, by);
    }
    if (last === undefined || value >= last.value) sessions.set(session, one);
  }
}
