/**
 * Rule 14: members that share partitions. A generation of a partition has one owner, commits of
 * earlier generations do not count, committed offsets rise except by a seek, every record before a
 * committed offset was delivered to a member, and in the end every partition has an owner.
 */
import { DeliveredRecords } from "./delivered-records.ts";
import { checkLeases } from "./group-leases.ts";
import type {
  GroupCommit,
  GroupJoin,
  GroupRead,
  GroupReset,
  GroupSeek,
  GroupShow,
  GroupTakeover,
  Owned,
  Place,
} from "./group-operations.ts";
import { endOf, groupBy, type Operation, type Produce } from "./operations.ts";
import { LargestBefore } from "./timeline.ts";
import { Violation } from "./violation.ts";

type Answers = {
  readonly joins: GroupJoin[];
  readonly reads: GroupRead[];
  readonly commits: GroupCommit[];
  readonly shows: GroupShow[];
};
type Change = GroupSeek | GroupReset;
type Commit = {
  readonly by: GroupCommit;
  readonly generation: number;
  readonly committed: number;
};
/** All that answers say of one partition. */
type Known = {
  readonly place: string;
  readonly commits: readonly Commit[];
  /** Seeks and deletions that may have moved its committed offset. */
  readonly changes: readonly Change[];
};

const nameOf = ({ topic, partition }: Place): string => `${topic}/${partition}`;
const isTold = ({ outcome, result }: Operation): boolean => outcome === "ok" && result !== null;

/** @param isTimeRight no clock was wrong, so that leases did not end early. @throws Violation */
export function checkGroups(operations: readonly Operation[], isTimeRight: boolean): void {
  const produces = operations.filter((one): one is Produce => one.op === "produce" && isTold(one));
  const values = valuesOf(produces);
  const resets = operations.filter((one): one is GroupReset => one.op === "group-reset");
  const all = operations.filter(
    (one) => one.op.startsWith("group-") && one.op !== "group-reset",
  ) as readonly Exclude<Operation & { readonly args: { readonly group: string } }, GroupReset>[];
  for (const [group, own] of groupBy(all, ({ args }) => args.group)) {
    const changes: Change[] = [
      ...resets.filter(({ args }) => args.group === null || args.group === group),
      ...own.filter((one): one is GroupSeek => one.op === "group-seek"),
    ];
    checkGroup(own, changes, values);
    if (isTimeRight) checkLeases(own, changes);
  }
}

/** Values of acknowledged records by partition and offset. */
function valuesOf(produces: readonly Produce[]): Map<string, Map<number, string>> {
  const values = new Map<string, Map<number, string>>();
  for (const { args, result } of produces) {
    const known = values.get(nameOf(args)) ?? new Map<number, string>();
    values.set(nameOf(args), known);
    const first = result?.offset ?? 0;
    for (const [i, value] of args.values.entries()) known.set(first + i, value);
  }
  return values;
}

function checkGroup(
  own: readonly Operation[],
  changes: readonly Change[],
  values: ReadonlyMap<string, ReadonlyMap<number, string>>,
): void {
  const answered = own.filter(isTold);
  const answers: Answers = {
    joins: answered.filter((one): one is GroupJoin => one.op === "group-join"),
    reads: answered.filter((one): one is GroupRead => one.op === "group-read"),
    commits: answered.filter((one): one is GroupCommit => one.op === "group-commit"),
    shows: answered.filter((one): one is GroupShow => one.op === "group-show"),
  };
  checkOwners(answers, changes);
  for (const known of partitionsOf(answers, changes)) {
    checkRising(known);
    // Offsets of a topic that was deleted say nothing of the one that took its name.
    if (known.changes.some(({ op, args }) => op === "group-reset" && args.topic !== null)) continue;
    checkDelivered(known, answers.reads, values.get(known.place) ?? new Map());
  }
  for (const show of answers.shows) if (show.args.living !== null) checkEnd(show);
  for (const one of answered) if (one.op === "group-takeover") checkTakeover(one);
}

type Ownership = { readonly by: Operation; readonly owned: Generation; readonly member: string };
type Generation = Place & { readonly generation: number };

/** The members to which generations of partitions belong, as answers say. */
const ownersIn = ({ joins, reads, commits, shows }: Answers): Ownership[] => [
  ...joins.flatMap((by) => owners(by, by.args.member, by.result?.assigned)),
  ...reads.flatMap((by) => owners(by, by.args.member, by.result?.assigned)),
  ...reads.flatMap((by) => owners(by, by.args.member, by.result?.positions)),
  ...commits.flatMap((by) => owners(by, by.args.member, countedIn(by))),
  ...shows.flatMap((by) =>
    (by.result?.partitions ?? []).flatMap((owned) =>
      owned.owner === null ? [] : [{ by, owned, member: owned.owner }],
    ),
  ),
];

const owners = (by: Operation, member: string, all: readonly Generation[] = []): Ownership[] =>
  all.map((owned) => ({ by, owned, member }));

/** The partitions of a commit whose offsets counted. */
const countedIn = ({ args, result }: GroupCommit): Owned[] =>
  args.offsets.filter((_, i) => result?.committed[i] != null);

/**
 * A generation has one owner, and no commit counts after a later generation was seen, or after a
 * seek if the generation is older than it.
 */
function checkOwners(answers: Answers, changes: readonly Change[]): void {
  const all = ownersIn(answers);
  const firsts = new Map<string, Ownership>();
  for (const one of all) {
    const key = `${nameOf(one.owned)} in generation ${one.owned.generation}`;
    const first = firsts.get(key) ?? one;
    firsts.set(key, first);
    if (first.member === one.member) continue;
    const what = `${key} is of ${first.member} and ${one.member}`;
    throw new Violation("group-owners", what, first.by, one.by);
  }
  const latest = new Map<string, LargestBefore>();
  for (const [place, seen] of groupBy(all, ({ owned }) => nameOf(owned))) {
    const moments = seen.map(({ by, owned }) => ({ time: by.ret, value: owned.generation, by }));
    latest.set(place, new LargestBefore(moments));
  }
  for (const by of answers.commits) checkFence(by, latest);
  const seeks = changes.filter((one): one is GroupSeek => one.op === "group-seek" && isTold(one));
  for (const by of answers.commits) checkAfterSeeks(by, seeks, latest);
}

/** A seek gives new generations, so that it is not undone by a commit of what was read before. */
function checkAfterSeeks(
  by: GroupCommit,
  seeks: readonly GroupSeek[],
  latest: ReadonlyMap<string, LargestBefore>,
): void {
  for (const owned of countedIn(by)) {
    const place = nameOf(owned);
    for (const seek of seeks) {
      if (seek.ret >= by.call) continue;
      if (!seek.result?.offsets.some((each) => nameOf(each) === place)) continue;
      const before = latest.get(place)?.at(seek.call) ?? null;
      if (before === null || before.value < owned.generation) continue;
      const what = `${place}: a commit in generation ${owned.generation} counts after a seek`;
      throw new Violation("group-fence", what, before.by, seek, by);
    }
  }
}

function checkFence(by: GroupCommit, latest: ReadonlyMap<string, LargestBefore>): void {
  for (const owned of countedIn(by)) {
    const before = latest.get(nameOf(owned))?.at(by.call) ?? null;
    if (before === null || before.value <= owned.generation) continue;
    const late = `a commit in generation ${owned.generation} counts after ${before.value}`;
    throw new Violation("group-fence", `${nameOf(owned)}: ${late}`, before.by, by);
  }
}

function partitionsOf({ commits, reads }: Answers, changes: readonly Change[]): Known[] {
  const counted = new Map<string, { readonly at: Place; readonly list: Commit[] }>();
  const listOf = (at: Place): Commit[] => {
    const present = counted.get(nameOf(at));
    if (present !== undefined) return present.list;
    const list: Commit[] = [];
    counted.set(nameOf(at), { at, list });
    return list;
  };
  for (const by of commits) {
    for (const [i, owned] of by.args.offsets.entries()) {
      const committed = by.result?.committed[i] ?? null;
      if (committed !== null) listOf(owned).push({ by, generation: owned.generation, committed });
    }
  }
  for (const { result } of reads) for (const run of result?.runs ?? []) listOf(run);
  return [...counted].map(([place, { at, list }]) => ({
    place,
    commits: list.sort((a, b) => a.by.ret - b.by.ret),
    changes: changes.filter(({ args }) => args.topic === null || args.topic === at.topic),
  }));
}

/** Within a generation always, and over generations unless a seek or a deletion may lie between. */
function checkRising({ place, commits, changes }: Known): void {
  for (const own of groupBy(commits, ({ generation }) => `${generation}`).values()) {
    mustRise(place, own, own);
  }
  // A commit is compared with those after the end of all changes that began before its answer.
  const quietFrom = ({ by }: Commit): number =>
    Math.max(...changes.filter(({ call }) => call < by.ret).map(endOf), Number.NEGATIVE_INFINITY);
  for (const checked of groupBy(commits, (one) => `${quietFrom(one)}`).values()) {
    const from = quietFrom(checked[0] as Commit);
    const after = commits.filter(({ by }) => by.call >= from);
    mustRise(place, after, checked);
  }
}

function mustRise(place: string, all: readonly Commit[], checked: readonly Commit[]): void {
  const largest = new LargestBefore(
    all.map(({ by, committed }) => ({ time: by.ret, value: committed, by })),
  );
  for (const { by, committed } of checked) {
    const before = largest.at(by.call);
    if (before === null || committed >= before.value) continue;
    const what = `${place}: ${committed} is committed, it had been ${before.value}`;
    throw new Violation("group-commit", what, before.by, by);
  }
}

/** Every record before a committed offset was delivered, or passed over by a seek. */
function checkDelivered(
  { place, commits, changes }: Known,
  reads: readonly GroupRead[],
  values: ReadonlyMap<number, string>,
): void {
  const delivered = new DeliveredRecords(values);
  for (const by of reads) {
    for (const run of by.result?.runs ?? []) if (nameOf(run) === place) delivered.run(run, by);
  }
  for (const change of changes) delivered.skip(passedOver(change, place), change.call);
  delivered.check(place, commits);
}

/** The offset up to which a change may have passed over records. */
function passedOver(change: Change, place: string): number {
  if (change.op !== "group-seek" || change.outcome === "fail") return 0;
  // Nothing is known of a seek without an answer: it may have gone to any offset.
  if (change.result === null) return Number.POSITIVE_INFINITY;
  const own = change.result.offsets.filter((each) => nameOf(each) === place);
  return Math.max(0, ...own.map(({ committed }) => committed));
}

/** All partitions are owned by the members that are left, and evenly. */
function checkEnd(show: GroupShow): void {
  const living = show.args.living ?? [];
  const all = show.result?.partitions ?? [];
  for (const { owner, next, ...at } of all) {
    if (owner !== null && living.includes(owner) && next === null) continue;
    const whose = owner === null ? "nobody" : `${owner}${next === null ? "" : `, next ${next}`}`;
    throw new Violation("group-unowned", `${nameOf(at)} is of ${whose} in the end`, show);
  }
  for (const [topic, partitions] of groupBy(all, (each) => each.topic)) {
    const owned = groupBy(partitions, ({ owner }) => owner ?? "");
    const counts = living.map((member) => owned.get(member)?.length ?? 0);
    if (Math.max(...counts) - Math.min(...counts) <= 1) continue;
    const shown = living.map((member, i) => `${member} ${counts[i]}`).join(", ");
    throw new Violation("group-unowned", `${topic} is not shared evenly: ${shown}`, show);
  }
}

function checkTakeover(one: GroupTakeover): void {
  const took = one.ret - one.call;
  const { member, msMax } = one.args;
  if (took <= msMax) return;
  const what = `the partitions of ${member} went over after ${Math.round(took)} ms, not ${msMax}`;
  throw new Violation("group-takeover", what, one);
}
