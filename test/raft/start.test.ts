/** The initial state of a core is checked, and refused with the reason. */
import { describe, expect, test } from "bun:test";
import type { InitialState } from "../../src/raft/core.ts";
import { configurationOf } from "../../src/raft/membership.ts";
import type { Configuration, TermRun } from "../../src/raft/types.ts";
import { entriesOf, id, ids, index, newCore, type Options, term } from "../tools/raft/harness.ts";

const votersOf = (...voters: string[]): Configuration => ({
  ...configurationOf([]),
  voters: voters.map(id),
});

describe("settings that make no sense", () => {
  const cases: [options: Options, reason: string][] = [
    [{ id: id("") }, "a member has an id"],
    [{ electionTimeoutTicks: 1 }, "elections are slower than heartbeats"],
    [{ electionTimeoutTicks: Number.NaN }, "electionTimeoutTicks is a whole number"],
    [{ electionTimeoutTicks: 10.5 }, "electionTimeoutTicks is a whole number"],
    [{ heartbeatTicks: 0 }, "heartbeatTicks is a whole number"],
    [{ maxInflightMessages: 0.5 }, "maxInflightMessages is a whole number"],
    [{ maxInflightMessages: -1 }, "maxInflightMessages is a whole number"],
    [{ maxAppendBytes: Number.NaN }, "maxAppendBytes is not below 0"],
    [{ maxUncommittedBytes: Number.NaN }, "maxUncommittedBytes is not below 0"],
    [{ maxInflightBytes: -1 }, "maxInflightBytes is not below 0"],
  ];
  for (const [options, reason] of cases) {
    test(`${Object.entries(options)}: ${reason}`, () => {
      expect(() => newCore("n1", "n1", options)).toThrow(reason);
    });
  }
});

describe("a membership that contradicts itself", () => {
  const cases: [configuration: Configuration, reason: string][] = [
    [votersOf("n1", "n1", "n2"), "voters are not names, sorted and without repetition"],
    [votersOf("n2", "n1"), "voters are not names"],
    [votersOf("", "n1"), "voters are not names"],
    [{ ...votersOf("n1"), learners: ids("n3 n2") }, "learners are not names"],
    [{ ...votersOf("n1"), learners: ids("n1") }, "n1 is in learners and voters"],
    [{ ...votersOf("n1"), autoLeave: true }, "autoLeave must be false when not joint"],
  ];
  for (const [configuration, reason] of cases) {
    test(`${JSON.stringify(configuration)}: ${reason}`, () => {
      expect(() => newCore("n1", "", { initial: { configuration } })).toThrow(reason);
      const snapshot = { index: index(1), term: term(1), configuration };
      expect(() => newCore("n1", "n1", { initial: { snapshot } })).toThrow(reason);
      expect(() => newCore("n1", "").bootstrap(snapshot)).toThrow(reason);
    });
  }
});

describe("a log that contradicts itself", () => {
  const evicted = (through: number, ...runs: [first: number, at: number][]) => ({
    evicted: {
      through: index(through),
      runs: runs.map(([first, at]): TermRun => ({ first: index(first), term: term(at) })),
    },
    applied: index(through),
  });
  const cases: [initial: Partial<InitialState>, reason: string][] = [
    [{ entries: entriesOf(2, 1) }, "entries are contiguous"],
    [{ entries: entriesOf(1, 2, 1) }, "terms of a log never descend"],
    [
      { hardState: { term: term(1), vote: null, commit: index(2) }, entries: entriesOf(1, 1) },
      "commit beyond the log",
    ],
    [{ entries: entriesOf(1, 1), applied: index(2) }, "applied is within the log"],
    [evicted(3), "term runs begin right after the snapshot"],
    [evicted(3, [2, 1]), "term runs begin right after the snapshot"],
    [evicted(3, [1, 1], [4, 2]), "term runs ascend, and end with what is evicted"],
    [evicted(3, [1, 1], [1, 2]), "term runs ascend"],
    [{ ...evicted(3, [1, 1]), applied: index(2) }, "applied is within the log"],
  ];
  for (const [initial, reason] of cases) {
    test(`${JSON.stringify(initial)}: ${reason}`, () => {
      expect(() => newCore("n1", "n1", { initial })).toThrow(reason);
    });
  }
});

test("a Raft group is bootstrapped once, by a checkpoint with voters", () => {
  const snapshot = { index: index(1), term: term(1), configuration: votersOf("n1") };
  const begin = "a Raft group begins";
  expect(() => newCore("n1", "").bootstrap({ ...snapshot, index: index(0) })).toThrow(begin);
  expect(() => newCore("n1", "").bootstrap({ ...snapshot, term: term(0) })).toThrow(begin);
  expect(() => newCore("n1", "").bootstrap({ ...snapshot, configuration: votersOf() })).toThrow(
    begin,
  );
  const core = newCore("n1", "");
  core.bootstrap(snapshot);
  expect(() => core.bootstrap(snapshot)).toThrow("an empty disk");
});
