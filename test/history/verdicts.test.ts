// Goal: each rule bites, and none bites what is legal. Method: small histories by hand, each with
// the rule that it breaks; and the tricky legal ones.
import { expect, test } from "bun:test";
import { HistoryBuilder } from "../tools/history/builder.ts";
import { check } from "../tools/history/check.ts";
import { ILLEGAL_KV } from "../tools/history/illegal-kv.ts";
import { ILLEGAL_LOG } from "../tools/history/illegal-log.ts";
import { LEGAL } from "../tools/history/legal.ts";

for (const { name, rule, history } of [...ILLEGAL_LOG, ...ILLEGAL_KV]) {
  test(`refuted by ${rule}: ${name}`, () => {
    const verdict = check(history.operations);
    expect(verdict.kind === "violation" ? verdict.rule : verdict).toBe(rule);
  });
}

for (const [name, history] of Object.entries(LEGAL)) {
  test(`legal: ${name}`, () => {
    expect(check(history.operations)).toMatchObject({ kind: "passed" });
  });
}

const one = () => new HistoryBuilder().produce([0, 1], ["a"], 0).heal(2);

test("the first write after healing has a limit, if one is asked for", () => {
  const late = one().produce([3, 9000], ["b"], 1).operations;
  expect(check(late).kind).toBe("passed");
  expect(check(late, { recoveryMsMax: 9000 }).kind).toBe("passed");
  expect(check(late, { recoveryMsMax: 5000 })).toMatchObject({ rule: "liveness" });
  expect(check(one().operations, { recoveryMsMax: 5000 })).toMatchObject({ rule: "liveness" });
});

test("a history that shows too little is invalid, not passed", () => {
  const { operations } = one();
  for (const demand of [
    "okProduces",
    "unknown",
    "faults",
    "leaderChanges",
    "okPerFault",
    "dumps",
  ]) {
    const verdict = check(operations, { demands: { [demand]: 2 } });
    expect(verdict).toMatchObject({ kind: "invalid", reasons: [expect.stringContaining("2")] });
  }
});

test("a violation outweighs that too little was shown", () => {
  const { operations } = one().dump("n1", []);
  expect(check(operations, { demands: { faults: 9 } })).toMatchObject({ rule: "loss" });
});

test("a verdict names the operations involved", () => {
  const verdict = check(one().dump("n1", ["x"]).operations);
  if (verdict.kind !== "violation") throw new Error(verdict.kind);
  expect(verdict.operations.map(({ op }) => op)).toEqual(["produce", "dump"]);
});
