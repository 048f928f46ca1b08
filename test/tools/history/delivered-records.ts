import type { Place } from "./group-operations.ts";
import type { Operation } from "./operations.ts";
import { Violation } from "./violation.ts";

type Run = Place & { readonly first: number; readonly values: readonly string[] };
type Reach = { readonly from: number; readonly to: number; readonly time: number };
type Commit = { readonly by: Operation; readonly committed: number };

/** The records of one partition that members of a group were given, and when. */
export class DeliveredRecords {
  readonly #values: ReadonlyMap<number, string>;
  readonly #reaches: Reach[] = [];

  /** @param values of acknowledged records, by offset. */
  constructor(values: ReadonlyMap<number, string>) {
    this.#values = values;
  }

  /** @throws Violation if a record has another value than the one that was written there. */
  run({ topic, partition, first, values }: Run, by: Operation): void {
    this.#reaches.push({ from: first, to: first + values.length, time: by.call });
    values.forEach((value, i) => {
      const known = this.#values.get(first + i);
      if (known === undefined || known === value) return;
      const where = `${topic}/${partition} at ${first + i}`;
      throw new Violation("group-value", `${where} is ${value}, but ${known} was written`, by);
    });
  }

  /** Records below the offset need not be delivered any more. */
  skip(offset: number, time: number): void {
    this.#reaches.push({ from: 0, to: offset, time });
  }

  /** @param commits in the order of their answers. @throws Violation */
  check(place: string, commits: readonly Commit[]): void {
    const reaches = this.#reaches.sort((a, b) => a.time - b.time);
    // Stretches that were delivered beyond the first offset that is not, by the begin of the stretch.
    const beyond = new Map<number, number>();
    let end = 0;
    let next = 0;
    for (const { by, committed } of commits) {
      for (; next < reaches.length && (reaches[next] as Reach).time < by.ret; next++) {
        const { from, to } = reaches[next] as Reach;
        if (from <= end) end = Math.max(end, to);
        else beyond.set(from, Math.max(beyond.get(from) ?? 0, to));
      }
      end = absorb(beyond, end);
      if (committed <= end) continue;
      const what = `${place}: ${committed} is committed, but nobody was given ${end}`;
      throw new Violation("group-loss", what, by);
    }
  }
}

/** Removes stretches that begin at or before the end. @returns the end that they reach. */
function absorb(beyond: Map<number, number>, end: number): number {
  let reached = end;
  for (let isMore = true; isMore; ) {
    isMore = false;
    for (const [from, to] of beyond) {
      if (from > reached) continue;
      beyond.delete(from);
      reached = Math.max(reached, to);
      isMore = true;
    }
  }
  return reached;
}
