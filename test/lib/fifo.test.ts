import { expect, test } from "bun:test";
import { Fifo } from "../../src/lib/fifo.ts";
import { forEachSeed } from "../tools/random.ts";

test("a queue gives its items in the order in which they came", () => {
  forEachSeed(20, (random) => {
    const queue = new Fifo<number>();
    let model: number[] = [];
    for (let step = 0; step < 5_000; step++) {
      // It grows for a while and then shrinks, so that taken items are cut off.
      const grows = Math.floor(step / 1_500) % 2 === 0;
      if (random.below(10) < (grows ? 8 : 2)) {
        queue.push(step);
        model.push(step);
      } else {
        expect(queue.shift()).toBe(model.shift() as number);
      }
      if (random.below(1_000) === 0) {
        queue.retain((item) => item % 3 > 0);
        model = model.filter((item) => item % 3 > 0);
      }
      expect(queue.size).toBe(model.length);
    }
    for (const item of model) expect(queue.shift()).toBe(item);
    expect(queue.shift()).toBeUndefined();
  });
});
