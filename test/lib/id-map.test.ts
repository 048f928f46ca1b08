import { expect, test } from "bun:test";
import { IdMap } from "../../src/lib/id-map.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

type Value = { readonly id: number };

/** The map, and a `Map` that gets the same changes. */
class Both {
  readonly ids = new IdMap<Value>();
  readonly model = new Map<number, Value>();
  next: number;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    this.next = random.below(3) * 1_000_000;
  }

  change(): void {
    const random = this.#random;
    if (random.below(2) === 0) {
      this.next += 1 + random.below(random.below(4) === 0 ? 60 : 3);
      this.#set(this.next);
      return;
    }
    const known = [...this.model.keys()];
    const id = known[random.below(known.length + 1)];
    if (id === undefined) expect(this.ids.delete(this.next + 1)).toBe(false);
    else if (random.below(2) === 0) expect(this.ids.delete(id)).toBe(this.model.delete(id));
    else this.#set(id);
  }

  #set(id: number): void {
    const value = { id };
    for (const map of [this.ids, this.model]) map.set(id, value);
  }
}

test("it is a map whose order is that of the ids", () => {
  // Goal: the same answers as a `Map`. Method: random changes of both.
  forEachSeed(100, (random) => {
    const both = new Both(random);
    const { ids, model } = both;
    for (let step = 0; step < 200; step++) {
      both.change();
      const probe = both.next - random.below(40);
      expect([ids.size, ids.get(probe), ids.has(probe)]).toEqual([
        model.size,
        model.get(probe),
        model.has(probe),
      ]);
    }
    expect([...ids.values()]).toEqual([...model.values()]);
  });
});

test("what is removed or added during an iteration is left out or included, as with a map", () => {
  forEachSeed(100, (random) => {
    const both = new Both(random);
    for (let step = 0; step < 100; step++) both.change();
    const values = both.ids.values();
    let left = 400;
    for (const value of both.model.values()) {
      expect(values.next().value).toEqual(value);
      if (random.below(3) === 0 && left-- > 0) both.change();
    }
    expect(values.next().done).toBe(true);
  });
});
