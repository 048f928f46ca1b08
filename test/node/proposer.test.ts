// Goal: the queue refuses requests when it is full, and never what the leader needs itself.
import { expect, test } from "bun:test";
import type { Millis } from "../../src/lib/ids.ts";
import { encodeTick } from "../../src/machine/command-codec.ts";
import { Commander } from "../../src/node/writes/commander.ts";
import { Proposer } from "../../src/node/writes/proposer.ts";
import { Acknowledgements } from "../../src/node/writes/write-concern.ts";
import type { Core } from "../../src/raft/core.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

test("housekeeping goes through a full queue, but not on a node that takes no writes", () => {
  const clock = new SimClock();
  const core = {} as Core;
  const proposer = new Proposer({
    core,
    clock,
    mayStamp: () => true,
    isShort: () => false,
    machineNow: () => 0 as Millis,
    queueBytesMax: 1000,
    queueRequestsMax: 2,
    commitTimeoutMs: 1000,
    wake: () => {},
    confirm: () => Promise.resolve("ok"),
    acknowledgements: new Acknowledgements(core, { kind: "majority" }),
    committed: () => {},
  });
  const commander = new Commander(proposer, clock);
  commander.housekeep(encodeTick);
  expect(proposer.queuedRequests).toBe(0);

  proposer.setRefusal(null);
  while (proposer.admit(10) === null) void commander.run(TICK);
  expect(proposer.queuedRequests).toBe(2);
  commander.housekeep(encodeTick);
  expect(proposer.queuedRequests).toBe(3);
  expect(proposer.admit(10)).toBe("overloaded");
});

const TICK = { type: "tick", bytes: 10, encode: encodeTick, done: () => null } as const;
