/** Goal: a linearizable read is answered neither before its index is applied nor without an answer. */
import { expect, test } from "bun:test";
import { Linearizer } from "../../src/node/reads/linearizer.ts";
import type { Core } from "../../src/raft/core.ts";
import type { LogIndex } from "../../src/raft/types.ts";
import { SimClock, settle } from "../tools/sim/sim-clock.ts";

const index = (value: number) => value as LogIndex;

function setup(accepts = true) {
  const contexts: unknown[] = [];
  const core = {
    appliedIndex: index(4),
    readIndex: (context: unknown) => {
      contexts.push(context);
      return accepts ? { ok: true } : { ok: false, code: "no_leader" };
    },
  };
  const clock = new SimClock();
  let wakes = 0;
  const linearizer = new Linearizer(core as unknown as Core, clock, 1000, () => wakes++);
  const outcomes: string[] = [];
  const ask = () => void linearizer.confirm().then((outcome) => outcomes.push(outcome));
  return { contexts, core, clock, linearizer, outcomes, ask, wakes: () => wakes };
}

test("a read waits until its index is applied, not an entry less", async () => {
  const { contexts, core, linearizer, outcomes, ask, wakes } = setup();
  ask();
  expect(wakes()).toBe(1);
  linearizer.readStates([{ context: contexts[0], index: index(6) }], []);
  for (const [applied, expected] of [
    [4, []],
    [5, []],
    [6, ["ok"]],
  ] as const) {
    core.appliedIndex = index(applied);
    linearizer.applied();
    await settle();
    expect(outcomes).toEqual([...expected]);
  }
});

test("each read waits for its own index", async () => {
  const { contexts, core, linearizer, outcomes, ask } = setup();
  ask();
  ask();
  linearizer.readStates([{ context: contexts[0], index: index(6) }], []);
  linearizer.readStates([{ context: contexts[1], index: index(4) }], []);
  await settle();
  expect(outcomes).toEqual(["ok"]);
  core.appliedIndex = index(6);
  linearizer.applied();
  await settle();
  expect(outcomes).toEqual(["ok", "ok"]);
});

test("reads that arrive while the leader is asked share the next question", async () => {
  const { contexts, linearizer, outcomes, ask } = setup();
  for (let i = 0; i < 100; i++) ask();
  expect(contexts).toHaveLength(1);
  linearizer.readStates([{ context: contexts[0], index: index(4) }], []);
  await settle();
  // Its answer is not valid for reads that arrived after the question.
  expect(outcomes).toEqual(["ok"]);
  expect(contexts).toHaveLength(2);
  linearizer.readStates([{ context: contexts[1], index: index(4) }], []);
  await settle();
  expect(outcomes).toEqual(Array.from({ length: 100 }, () => "ok"));
  expect(contexts).toHaveLength(2);
});

test("reads do not wait for a question whose answer is lost", async () => {
  const { contexts, clock, linearizer, outcomes, ask } = setup();
  ask();
  ask();
  await clock.advance(49);
  expect(contexts).toHaveLength(1);
  await clock.advance(1);
  expect(contexts).toHaveLength(2);
  linearizer.readStates([{ context: contexts[1], index: index(4) }], []);
  await settle();
  expect(outcomes).toEqual(["ok"]);
  linearizer.readStates([], [contexts[0]]);
  await settle();
  expect(outcomes).toEqual(["ok", "no_quorum"]);
});

test("a read that was given up, or has no answer in time, is not confirmed afterwards", async () => {
  const { contexts, core, clock, linearizer, outcomes, ask } = setup();
  ask();
  linearizer.readStates([], [contexts[0]]);
  await settle();
  expect(outcomes).toEqual(["no_quorum"]);
  ask();
  await clock.advance(1000);
  expect(outcomes).toEqual(["no_quorum", "no_quorum"]);
  linearizer.readStates(
    contexts.map((context) => ({ context, index: index(1) })),
    [],
  );
  await settle();
  ask();
  linearizer.readStates([{ context: contexts[2], index: index(9) }], []);
  await clock.advance(1000);
  core.appliedIndex = index(9);
  linearizer.applied();
  await settle();
  expect(outcomes).toEqual(["no_quorum", "no_quorum", "no_quorum"]);
});

test("without a leader, and at the stop, a read is refused", async () => {
  const refused = setup(false);
  refused.ask();
  await settle();
  expect([refused.outcomes, refused.wakes()]).toEqual([["no_leader"], 0]);
  const { contexts, linearizer, outcomes, ask } = setup();
  ask();
  ask();
  linearizer.readStates([{ context: contexts[0], index: index(9) }], []);
  linearizer.stop();
  await settle();
  expect(outcomes).toEqual(["no_leader", "no_leader"]);
});
