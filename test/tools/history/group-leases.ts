/**
 * Rule 15: a partition is not taken from a member that keeps its lease. A commit is fenced only if
 * the member was told that the partition is revoked, if its lease may be over, or after a change.
 */
import type { GroupCommit, GroupJoin, GroupLeave, GroupRead, Owned } from "./group-operations.ts";
import { endOf, groupBy, type Operation } from "./operations.ts";
import { Violation } from "./violation.ts";

type Step = GroupJoin | GroupRead | GroupCommit | GroupLeave;
/** The last answer that gave the partition to the member in this generation. */
type Hold = { readonly generation: number; readonly by: GroupJoin | GroupRead };

/** A read renews a lease only when half of it is over; clocks may differ by a little. */
const SURE_SHARE = 0.45;

const STEPS: readonly string[] = ["group-join", "group-read", "group-commit", "group-leave"];
const nameOf = ({ topic, partition }: Pick<Owned, "topic" | "partition">) =>
  `${topic}/${partition}`;

/** @param changes seeks and deletions. @throws Violation */
export function checkLeases(own: readonly Operation[], changes: readonly Operation[]): void {
  const steps = own.filter((one): one is Step => STEPS.includes(one.op));
  for (const list of groupBy(steps, ({ args }) => args.member).values()) {
    new MemberLease(changes).check(list.sort((a, b) => a.call - b.call));
  }
}

class MemberLease {
  readonly #changes: readonly Operation[];
  readonly #holds = new Map<string, Hold>();
  #leaseMs = 0;

  constructor(changes: readonly Operation[]) {
    this.#changes = changes;
  }

  check(steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.op === "group-commit") this.#commit(step);
      else this.#move(step);
    }
  }

  #move(step: GroupJoin | GroupRead | GroupLeave): void {
    const isTold = step.outcome === "ok" && step.result !== null;
    // It may have changed something, or told of revoked partitions in an answer that was lost.
    if (!isTold || step.op !== "group-read") this.#holds.clear();
    if (step.op === "group-join") this.#leaseMs = step.args.leaseMs;
    if (!isTold || step.op === "group-leave") return;
    for (const owned of step.result?.assigned ?? []) {
      const { generation } = owned;
      this.#holds.set(nameOf(owned), { generation, by: step });
    }
    if (step.op !== "group-read") return;
    for (const place of step.result?.revoked ?? []) this.#holds.delete(nameOf(place));
  }

  #commit(step: GroupCommit): void {
    for (const [i, owned] of step.args.offsets.entries()) {
      if (step.result?.committed[i] !== null) continue;
      const hold = this.#holds.get(nameOf(owned));
      if (hold === undefined || hold.generation !== owned.generation) continue;
      const { by } = hold;
      const isSure = step.ret - by.call < SURE_SHARE * this.#leaseMs;
      const isChanged = this.#changes.some((each) => each.call < step.ret && endOf(each) > by.call);
      if (!isSure || isChanged) continue;
      const what = `${nameOf(owned)} was taken from ${step.args.member} within its lease`;
      throw new Violation("group-lease", what, by, step);
    }
  }
}
