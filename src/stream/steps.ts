/**
 * Work over many groups, in steps: a driver runs the next step or yields to requests first. The data
 * must not change until the last step.
 */
import type { Steps } from "../lib/steps.ts";
import { type JsonOutput, toJson } from "./json-output.ts";

/** Items between two steps: well below a millisecond of work. */
const ITEMS_A_STEP = 128;
const TEXT_A_STEP = 16 * 1024;
/** Items that are sorted at once, before runs are merged. */
const RUN_ITEMS = 1024;

export function* mapSteps<T, U>(items: readonly T[], map: (item: T) => U): Steps<U[]> {
  const mapped: U[] = [];
  for (let i = 0; i < items.length; i++) {
    if (i % ITEMS_A_STEP === ITEMS_A_STEP - 1) yield;
    mapped.push(map(items[i] as T));
  }
  return mapped;
}

/** A stable merge sort; `items` may be used as working space. */
export function* sortSteps<T>(items: T[], compare: (a: T, b: T) => number): Steps<T[]> {
  let from: T[] = [];
  for (let at = 0; at < items.length; at += RUN_ITEMS) {
    for (const item of items.slice(at, at + RUN_ITEMS).sort(compare)) from.push(item);
    yield;
  }
  let to = items;
  for (let width = RUN_ITEMS; width < items.length; width *= 2) {
    for (let at = 0; at < items.length; at += 2 * width) {
      yield* mergeSteps(from, to, { at, middle: at + width, end: at + 2 * width }, compare);
    }
    [from, to] = [to, from];
  }
  return from;
}

type Runs = { readonly at: number; readonly middle: number; readonly end: number };

function* mergeSteps<T>(
  from: readonly T[],
  to: T[],
  runs: Runs,
  compare: (a: T, b: T) => number,
): Steps<void> {
  const middle = Math.min(runs.middle, from.length);
  const end = Math.min(runs.end, from.length);
  let left = runs.at;
  let right = middle;
  for (let out = runs.at; out < end; out++) {
    if (out % RUN_ITEMS === RUN_ITEMS - 1) yield;
    const takeLeft =
      left < middle && (right >= end || compare(from[left] as T, from[right] as T) <= 0);
    to[out] = from[takeLeft ? left++ : right++] as T;
  }
}

/** As `toJson` of the list. @param outputOf converts an item. */
export function* jsonListSteps<T>(
  items: readonly T[],
  outputOf: (item: T) => JsonOutput,
): Steps<string> {
  let text = "[";
  let steppedAt = 0;
  for (let i = 0; i < items.length; i++) {
    text += (i === 0 ? "" : ",") + toJson(outputOf(items[i] as T));
    if (text.length - steppedAt < TEXT_A_STEP) continue;
    steppedAt = text.length;
    yield;
  }
  return `${text}]`;
}
