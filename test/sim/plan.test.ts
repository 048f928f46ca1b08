/** Goal: plans ask of the product what it promises, and no more. Method: the plans of many seeds. */
import { expect, test } from "bun:test";
import {
  freshSeed,
  LATER_FAULT_KINDS,
  planOf,
  VERSION_2_SEED,
  VERSION_3_SEED,
  VERSION_5_SEED,
  VERSION_6_SEED,
} from "../tools/sim/plan.ts";

const plansFrom = (first: number) => Array.from({ length: 200 }, (_, i) => planOf(first + i));

/** The most that a seed's load and its faults leave behind for one follower is far less. */
const AMPLE_BYTES = 2 ** 30;

test("whoever waits for every disk keeps the journal for the one that lags", () => {
  const plans = Array.from({ length: 2000 }, (_, i) => planOf(i + 1));
  const all = plans.filter(({ writeConcern }) => writeConcern.kind === "all");
  expect(all.length).toBeGreaterThan(100);
  expect(all.filter(({ journalKeepBytes }) => journalKeepBytes < AMPLE_BYTES)).toEqual([]);
});

test("plans of others also keep too little, or nothing", () => {
  const plans = Array.from({ length: 200 }, (_, i) => planOf(i + 1));
  expect(plans.some(({ journalKeepBytes }) => journalKeepBytes === 0)).toBe(true);
});

test("seeds of version 1 draw no later fault and have no work, those of version 2 do", () => {
  const isLater = (kind: string) => LATER_FAULT_KINDS.some((later) => later === kind);
  for (const { faults, work } of [...plansFrom(1), planOf(VERSION_2_SEED - 1)]) {
    expect(faults.filter(isLater)).toEqual([]);
    expect(work).toBeNull();
  }
  const later = plansFrom(VERSION_2_SEED);
  for (const kind of LATER_FAULT_KINDS) {
    expect(later.some(({ faults }) => faults.includes(kind))).toBe(true);
  }
  expect(later.some(({ work }) => work?.slowNode != null)).toBe(true);
  expect(later.every(({ work }) => work !== null)).toBe(true);
});

test("only plans of version 5 forward writes, and new seeds are of version 5", () => {
  const forward = (first: number) => plansFrom(first).filter(({ forwards }) => forwards).length;
  expect(forward(VERSION_5_SEED - 1000)).toBe(0);
  const count = forward(VERSION_5_SEED);
  expect(count).toBeGreaterThan(0);
  expect(count).toBeLessThan(plansFrom(VERSION_5_SEED).length);
  expect(forward(freshSeed())).toBeGreaterThan(0);
});

test("only plans of version 3 number writes, and new seeds are of version 3", () => {
  for (const seed of [1, VERSION_2_SEED, VERSION_3_SEED - 1]) {
    expect(planOf(seed).numbers).toBe(false);
  }
  expect(planOf(VERSION_3_SEED).numbers).toBe(true);
  for (let i = 0; i < 100; i++) expect(planOf(freshSeed()).numbers).toBe(true);
});

test("deadlines of each attempt are of version 6, as new seeds are", () => {
  expect(planOf(VERSION_6_SEED - 1).mixesDeadlines).toBe(false);
  for (const seed of [VERSION_6_SEED, freshSeed()]) expect(planOf(seed).mixesDeadlines).toBe(true);
});
