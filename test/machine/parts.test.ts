/** Goal: sections of a snapshot reach the part that wrote them, whole and in order. */
import { expect, test } from "bun:test";
import { ByteReader, ByteWriter } from "../../src/lib/bytes.ts";
import type { StatePart } from "../../src/lib/state-part.ts";
import type { NamedPart, RestoreHeader } from "../../src/machine/parts.ts";
import { PartsRestorer } from "../../src/machine/parts-restorer.ts";

type Words = string[];

/** Each word is a section. */
const wordsPart = (tag: number): StatePart<Words> => ({
  tags: [tag],
  empty: () => [],
  *capture(words) {
    for (const word of words) {
      const body = new ByteWriter();
      body.text(word);
      yield { tag, body: body.take() };
    }
  },
  restorer() {
    const words: Words = [];
    return { section: (_tag, body) => words.push(body.text()), finish: () => words };
  },
  digest(words, { writer }) {
    for (const word of words) writer.text(word);
  },
  counts: (words) => [words.length, 0],
});

const PARTS = [
  ["first", wordsPart(20)],
  ["second", wordsPart(21)],
] as unknown as readonly NamedPart[];

function restore(sections: readonly (readonly [number, string])[]): unknown {
  const restorer = new PartsRestorer({} as RestoreHeader, PARTS);
  for (const [tag, word] of sections) {
    const body = new ByteWriter();
    body.text(word);
    restorer.section(tag, new ByteReader(body.view()));
  }
  return restorer.finish();
}

test("each part gets its own sections", () => {
  const sections = [[20, "a"] as const, [20, "b"] as const, [21, "c"] as const];
  expect(restore(sections)).toEqual({ first: ["a", "b"], second: ["c"] });
  expect(restore([])).toEqual({ first: [], second: [] });
});

test("a section without a part, and parts in another order, are refused", () => {
  expect(() => restore([[22, "a"]])).toThrow("unknown section 22");
  expect(() =>
    restore([
      [21, "c"],
      [20, "a"],
    ]),
  ).toThrow("parts are not in order");
});
