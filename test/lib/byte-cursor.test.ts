import { expect, test } from "bun:test";
import { ByteCursor } from "../../src/lib/byte-cursor.ts";

/** Writes texts one after the other and reads them again with one cursor. */
function readBack(texts: readonly string[]): string[] {
  const cursor = new ByteCursor(new Uint8Array(4096));
  for (const text of texts) cursor.putText(text);
  cursor.range(0, 4096);
  return texts.map(() => cursor.text());
}

test("a text is what was written, whatever was read before it", () => {
  const texts = ["orders", "orders", "order2", "", "", "orders", "Orders", "a".repeat(249)];
  expect(readBack(texts)).toEqual(texts);
  // Each of these has the bytes or the character codes of another one.
  const alike = [
    "Ã©",
    "é",
    "Ã©",
    "é",
    "é",
    "\u00c3\u00a9",
    "Ã",
    "\u0080",
    "Â\u0080",
    "🎈",
    "ð\u009f",
  ];
  for (const one of alike) {
    for (const other of alike) expect(readBack([one, other])).toEqual([one, other]);
  }
});
