import { describe, expect, test } from "bun:test";
import {
  decodeConfChange,
  decodeConfiguration,
  encodeConfChange,
  encodeConfiguration,
} from "../../src/raft/config-codec.ts";
import {
  applyConfChange,
  type ConfigurationResult,
  checkConfiguration,
  configurationOf,
  EMPTY_CONFIGURATION,
  enterJoint,
  leaveJoint,
  membersOf,
  simpleChange,
} from "../../src/raft/membership.ts";
import type { Configuration, MembershipChange, Transition } from "../../src/raft/types.ts";
import { id, ids } from "../tools/raft/harness.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

/** `v1 l2 r3`: add voter 1, add learner 2, remove 3. */
const changes = (script: string): MembershipChange[] =>
  script
    .split(" ")
    .filter((word) => word.length > 0)
    .map((word) => ({
      type: ({ v: "add_voter", l: "add_learner", r: "remove" } as const)[
        word[0] as "v" | "l" | "r"
      ],
      id: id(word.slice(1)),
    }));

/** The notation of etcd's tests: `voters=(1 2)&&(1) learners=(3) autoleave`. */
function show(result: ConfigurationResult): string {
  if (!result.ok) return result.reason;
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = result.configuration;
  let shown = `voters=(${voters.join(" ")})`;
  if (votersOutgoing.length > 0) shown += `&&(${votersOutgoing.join(" ")})`;
  if (learners.length > 0) shown += ` learners=(${learners.join(" ")})`;
  if (learnersNext.length > 0) shown += ` learners_next=(${learnersNext.join(" ")})`;
  return autoLeave ? `${shown} autoleave` : shown;
}

function run(start: Configuration, script: readonly string[]): string[] {
  let configuration = start;
  return script.map((line) => {
    const [verb = "", ...rest] = line.split(" ");
    const list = changes(rest.filter((word) => word !== "autoleave").join(" "));
    const result =
      verb === "simple"
        ? simpleChange(configuration, list)
        : verb === "enter"
          ? enterJoint(configuration, rest.includes("autoleave"), list)
          : leaveJoint(configuration);
    if (result.ok) configuration = result.configuration;
    return show(result);
  });
}

describe("changes, from an empty configuration", () => {
  const cases: [name: string, script: [string, string][]][] = [
    [
      "a simple change moves one voter at a time",
      [
        ["simple v1", "voters=(1)"],
        ["simple v2", "voters=(1 2)"],
        ["simple v2 v3", "voters=(1 2 3)"],
        ["simple r1 v5", "more than one voter changed without entering joint config"],
        ["simple v3 v9", "voters=(1 2 3 9)"],
        ["simple r3 r9", "more than one voter changed without entering joint config"],
        ["simple r9 r9", "voters=(1 2 3)"],
      ],
    ],
    [
      "all voters cannot be removed",
      [
        ["simple v1", "voters=(1)"],
        ["simple r1", "removed all voters"],
        ["simple v1", "voters=(1)"],
      ],
    ],
    [
      "learners come and go freely",
      [
        ["simple v1", "voters=(1)"],
        ["simple l2 l3 l4", "voters=(1) learners=(2 3 4)"],
        ["simple r2 r4", "voters=(1) learners=(3)"],
        ["simple v3", "voters=(1 3)"],
        ["simple l3", "voters=(1) learners=(3)"],
        ["simple l1", "removed all voters"],
      ],
    ],
    [
      "the last of several changes to a member counts",
      [
        ["simple v1", "voters=(1)"],
        ["simple v2 r2 v2 l2 v2 l2", "voters=(1) learners=(2)"],
        ["simple v2 r2", "voters=(1)"],
      ],
    ],
    [
      "an empty id is passed over",
      [
        ["simple v1", "voters=(1)"],
        ["simple v r l", "voters=(1)"],
      ],
    ],
    [
      "joint configurations are entered and left",
      [
        ["leave", "can't leave a non-joint config"],
        ["enter v1", "can't make a zero-voter config joint"],
        ["simple v1", "voters=(1)"],
        ["leave", "can't leave a non-joint config"],
        ["enter", "voters=(1)&&(1)"],
        ["enter", "config is already joint"],
        ["simple v2", "can't apply simple config change in joint config"],
        ["leave", "voters=(1)"],
        ["enter autoleave r1 v2 v3", "voters=(2 3)&&(1) autoleave"],
        ["leave", "voters=(2 3)"],
        ["enter r2 r3", "removed all voters"],
      ],
    ],
    [
      "a voter that becomes a learner waits for the end of joint",
      [
        ["simple v1", "voters=(1)"],
        ["enter v2 l1", "voters=(2)&&(1) learners_next=(1)"],
        ["leave", "voters=(2) learners=(1)"],
        ["enter v1 v2", "voters=(1 2)&&(2)"],
        ["leave", "voters=(1 2)"],
        ["enter l3 r1 l1", "voters=(2)&&(1 2) learners=(3) learners_next=(1)"],
        ["leave", "voters=(2) learners=(1 3)"],
      ],
    ],
  ];
  for (const [name, script] of cases) {
    test(name, () => {
      const lines = script.map(([line]) => line);
      expect(run(EMPTY_CONFIGURATION, lines)).toEqual(script.map(([, expected]) => expected));
    });
  }
});

describe("the kind of change follows from its transition and size", () => {
  const start = configurationOf(ids("1 2 3"));
  const cases: [Transition, string, string][] = [
    ["auto", "v4", "voters=(1 2 3 4)"],
    ["auto", "v4 r1", "voters=(2 3 4)&&(1 2 3) autoleave"],
    ["joint_implicit", "v4", "voters=(1 2 3 4)&&(1 2 3) autoleave"],
    ["joint_explicit", "v4", "voters=(1 2 3 4)&&(1 2 3)"],
    ["auto", "", "can't leave a non-joint config"],
  ];
  for (const [transition, script, expected] of cases) {
    test(`${transition} [${script}] -> ${expected}`, () => {
      expect(show(applyConfChange(start, { transition, changes: changes(script) }))).toBe(expected);
    });
  }
});

test("a configuration that contradicts itself is named as such", () => {
  const joint = { ...configurationOf(ids("1 2")), votersOutgoing: ids("1 3") };
  expect(checkConfiguration(joint)).toBeNull();
  expect(checkConfiguration({ ...joint, learners: ids("2") })).toContain("learners and voters");
  expect(checkConfiguration({ ...joint, learners: ids("3") })).toContain("votersOutgoing");
  expect(checkConfiguration({ ...joint, learnersNext: ids("2") })).toContain("learnersNext");
  const single = configurationOf(ids("1"));
  expect(checkConfiguration({ ...single, autoLeave: true })).toContain("autoLeave");
  expect(checkConfiguration({ ...single, learnersNext: ids("9") })).not.toBeNull();
});

const randomChanges = (random: Random): MembershipChange[] =>
  Array.from({ length: 1 + random.below(5) }, () => ({
    type: random.pick(["add_voter", "add_learner", "remove"] as const),
    id: id(String(1 + random.below(6))),
  }));

// Goal: going through a joint configuration ends where applying the changes one by one does.
test("entering and leaving joint equals the same changes made one at a time", () => {
  forEachSeed(300, (random) => {
    const start = configurationOf(ids("1 2 3"), ids("4"));
    const list = randomChanges(random);
    let oneByOne: ConfigurationResult = { ok: true, configuration: start };
    for (const change of list) {
      if (oneByOne.ok) oneByOne = simpleChange(oneByOne.configuration, [change]);
    }
    const entered = enterJoint(start, true, list);
    if (!entered.ok || !oneByOne.ok) return;
    expect(checkConfiguration(entered.configuration)).toBeNull();
    expect(membersOf(entered.configuration)).toEqual(expect.arrayContaining([...start.voters]));
    expect(leaveJoint(entered.configuration)).toEqual(oneByOne);
  });
});

test("changes and configurations survive encoding", () => {
  forEachSeed(100, (random) => {
    const list = randomChanges(random);
    const change = { transition: random.pick(["auto", "joint_explicit"] as const), changes: list };
    expect(decodeConfChange(encodeConfChange(change))).toEqual(change);
    const entered = enterJoint(configurationOf(ids("1 2 3"), ids("4")), true, list);
    if (!entered.ok) return;
    expect(decodeConfiguration(encodeConfiguration(entered.configuration))).toEqual(
      entered.configuration,
    );
  });
  expect(decodeConfChange(new Uint8Array(0))).toEqual({ transition: "auto", changes: [] });
});
