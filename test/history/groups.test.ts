/**
 * Goal: each rule of groups refutes what it is for, and accepts what a correct server does.
 * Method: small histories by hand.
 */
import { expect, test } from "bun:test";
import { check } from "../tools/history/check.ts";
import type { GroupOperation, GroupShow, Owned } from "../tools/history/group-operations.ts";
import type { Operation, Outcome } from "../tools/history/operations.ts";

type Span = readonly [call: number, ret: number];
const LEASE_MS = 100;

const owned = (generation: number, next: number): Owned => {
  return { topic: "t", partition: 0, generation, next };
};

class Histories {
  readonly operations: Operation[] = [];

  add<Name extends GroupOperation["op"]>(
    op: Name,
    [call, ret]: Span,
    args: object,
    result: object | null,
    outcome: Outcome = result === null ? "fail" : "ok",
  ): this {
    const id = this.operations.length;
    const one = { op, id, process: "p", node: "n1", call, ret, outcome, args, result };
    this.operations.push(one as unknown as Operation);
    return this;
  }

  join(span: Span, member: string, ...assigned: Owned[]): this {
    const args = { group: "g", member, topics: ["t"], leaseMs: LEASE_MS };
    return this.add("group-join", span, args, { assigned });
  }

  /** The records from `first` up to the offset of `own`. */
  read(span: Span, member: string, first: number, own: Owned, revoked: object[] = []): this {
    const values = Array.from({ length: own.next - first }, (_, i) => `v${first + i}`);
    const runs = [{ topic: "t", partition: 0, first, values }];
    const result = { runs, positions: [own], assigned: revoked.length > 0 ? [] : [own], revoked };
    return this.add("group-read", span, { group: "g", member }, result);
  }

  commit(span: Span, member: string, own: Owned, committed: number | null = own.next): this {
    const args = { group: "g", member, offsets: [own] };
    return this.add("group-commit", span, args, { committed: [committed] });
  }

  /** Undefined: without an answer. */
  seek(span: Span, committed?: number): this {
    const offsets = committed === undefined ? [] : [{ topic: "t", partition: 0, committed }];
    const args = { group: "g", topic: "t" };
    const isKnown = committed !== undefined;
    return this.add(
      "group-seek",
      span,
      args,
      isKnown ? { offsets } : null,
      isKnown ? "ok" : "unknown",
    );
  }

  end(...partitions: Partial<NonNullable<GroupShow["result"]>["partitions"][number]>[]): this {
    const shown = partitions.map((each, partition) => {
      return {
        topic: "t",
        partition,
        owner: "a",
        next: null,
        generation: 1,
        committed: 0,
        ...each,
      };
    });
    const args = { group: "g", living: ["a", "b"] };
    return this.add("group-show", [900, 901], args, { partitions: shown });
  }

  get verdict(): string {
    const verdict = check(this.operations);
    return verdict.kind === "violation" ? verdict.rule : verdict.kind;
  }
}

const given = () =>
  new Histories().join([0, 1], "a", owned(1, 0)).read([2, 3], "a", 0, owned(1, 5));

test("a hand-over, a seek back and a commit of what was read are legal", () => {
  const history = given()
    .commit([4, 5], "a", owned(1, 5))
    .read([6, 7], "a", 5, owned(1, 5), [{ topic: "t", partition: 0 }])
    .commit([8, 9], "a", owned(1, 5))
    .read([10, 11], "b", 5, owned(2, 8))
    .commit([12, 13], "a", owned(1, 5), null)
    .commit([14, 15], "b", owned(2, 8))
    .seek([16, 17], 2)
    .read([18, 19], "b", 2, owned(3, 4))
    .commit([20, 21], "b", owned(3, 4))
    .end({ owner: "b", generation: 3 }, { owner: "a" });
  expect(history.verdict).toBe("passed");
});

test("two members cannot own a partition in one generation", () => {
  expect(given().join([4, 5], "b", owned(1, 0)).verdict).toBe("group-owners");
  expect(given().end({ owner: "b", generation: 1 }).verdict).toBe("group-owners");
});

test("a commit of a generation that is over cannot count, unless both overlap", () => {
  const taken = () => given().read([4, 6], "b", 0, owned(2, 5));
  expect(taken().commit([7, 8], "a", owned(1, 5)).verdict).toBe("group-fence");
  expect(taken().commit([5, 8], "a", owned(1, 5)).verdict).toBe("passed");
});

test("a commit of what was read before a seek cannot count after it", () => {
  const after = (call: number, ret: number) =>
    given().seek([4, 5], 0).commit([call, ret], "a", owned(1, 5)).verdict;
  expect(after(6, 7)).toBe("group-fence");
  expect(after(4.5, 7)).toBe("passed");
});

test("committed offsets cannot fall without a seek between them", () => {
  const committed = () => given().commit([4, 5], "a", owned(1, 5));
  expect(committed().commit([6, 7], "a", owned(1, 3)).verdict).toBe("group-commit");
  const next = (history: Histories) =>
    history.read([12, 13], "a", 0, owned(2, 3)).commit([14, 15], "a", owned(2, 3)).verdict;
  expect(next(committed())).toBe("group-commit");
  expect(next(committed().seek([8, 9], 0))).toBe("passed");
  expect(next(committed().seek([8, 9]))).toBe("passed");
  expect(next(committed().seek([0, 0.5], 0))).toBe("group-commit");
});

test("records before a committed offset were given to a member, or passed over by a seek", () => {
  const skipped = (history: Histories) =>
    history.read([10, 11], "a", 7, owned(2, 9)).commit([12, 13], "a", owned(2, 9)).verdict;
  expect(skipped(given())).toBe("group-loss");
  expect(skipped(given().seek([4, 5], 6))).toBe("group-loss");
  expect(skipped(given().seek([4, 5], 7))).toBe("passed");
  expect(skipped(given().seek([4, 5]))).toBe("passed");
  // In another order, by another member.
  expect(skipped(given().read([20, 21], "b", 5, owned(3, 7)))).toBe("group-loss");
  expect(skipped(given().read([8, 9], "b", 5, owned(1.5, 7)))).toBe("passed");
});

test("a record that was given out is the one that was written", () => {
  const history = given();
  const args = { topic: "t", partition: 0, key: null, values: ["other"] };
  const result = { offset: 3, count: 1, duplicate: false, payloadMatches: true };
  const one = { op: "produce", id: 9, process: "p", node: "n1", call: 0, ret: 1, outcome: "ok" };
  history.operations.push({ ...one, args, result } as unknown as Operation);
  expect(history.verdict).toBe("group-value");
});

test("a partition is not taken from a member within its lease, unless it was told", () => {
  const fenced = (history: Histories, at = 6) =>
    history.commit([at, at + 1], "a", owned(1, 5), null).verdict;
  expect(fenced(given())).toBe("group-lease");
  expect(fenced(given(), 90)).toBe("passed");
  expect(fenced(given().seek([4, 5], 0))).toBe("passed");
  expect(fenced(given().read([4, 5], "a", 5, owned(1, 5), [owned(1, 5)]))).toBe("passed");
  const lost = given().add("group-read", [4, 5], { group: "g", member: "a" }, null, "unknown");
  expect(fenced(lost)).toBe("passed");
  const { operations } = given().commit([6, 7], "a", owned(1, 5), null);
  expect(check(operations, { wrongClocks: true }).kind).toBe("passed");
});

test("in the end every partition is owned by a member that is left, and evenly", () => {
  const end = (...partitions: Parameters<Histories["end"]>) =>
    new Histories().end(...partitions).verdict;
  expect(end({ owner: "a" }, { owner: "b" }, { owner: "b" })).toBe("passed");
  expect(end({ owner: null }, { owner: "b" })).toBe("group-unowned");
  expect(end({ owner: "gone" }, { owner: "b" })).toBe("group-unowned");
  expect(end({ next: "b" }, { owner: "b" })).toBe("group-unowned");
  expect(end({ owner: "a" }, { owner: "a" })).toBe("group-unowned");
});

test("partitions of a member that fell silent go over in time", () => {
  const after = (ms: number) => {
    const args = { group: "g", member: "a", msMax: 500 };
    return new Histories().add("group-takeover", [100, 100 + ms], args, {}).verdict;
  };
  expect([after(500), after(501)]).toEqual(["passed", "group-takeover"]);
});
