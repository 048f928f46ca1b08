import { expect, test } from "bun:test";
import { parseDecimal } from "../../src/lib/parse.ts";

test("decimal integers up to 2^53-1 are read exactly", () => {
  for (const text of ["0", "7", "1109", "9007199254740991"]) {
    expect(parseDecimal(text)).toBe(Number(text));
  }
});

test("everything else is refused, never rounded", () => {
  const refused = ["", "-1", "+1", " 1", "1 ", "01", "1.0", "1e3", "0x1", "9007199254740992"];
  for (const text of [...refused, "18446744073709551616", "NaN", "١"]) {
    expect(parseDecimal(text), JSON.stringify(text)).toBeNull();
  }
});
