import { expect, test } from "bun:test";
import { parseFormat } from "../../src/parquet/format.ts";
import { dateText, dayOf, dayStartMs, pathOf, rangeOf } from "../../src/parquet/layout.ts";

const column = { name: "n", field: "n", type: "int64" };

test.each([
  [{ columns: {} }, "columns", "must be a list"],
  [
    { columns: [{ ...column, name: "1st" }] },
    "columns[0].name",
    "must be 1 to 128 characters of A-Z a-z 0-9 _, and no digit first",
  ],
  [
    { columns: [{ ...column, name: "Offset" }] },
    "columns[0].name",
    "is the name of another column",
  ],
  [
    { columns: [column, { ...column, name: "N" }] },
    "columns[1].name",
    "is the name of another column",
  ],
  [
    { columns: [{ ...column, field: "a..b" }] },
    "columns[0].field",
    "must be a field name such as a or a.b",
  ],
  [
    { columns: [{ ...column, type: "int" }] },
    "columns[0].type",
    "must be one of string, int64, double, boolean, timestamp, json",
  ],
  [{ columns: [{ name: "n", type: "json" }] }, "columns[0].field", "must be text"],
  [{ filter: [{ field: "n", op: "eq" }] }, "filter[0].value", "is missing"],
  [{ decode: { type: "xml" } }, "decode.type", "must be one of json, avro, proto"],
  [
    { columns: Array.from({ length: 257 }, (_, at) => ({ ...column, name: `n${at}` })) },
    "columns",
    "has more than 256 items",
  ],
])("a wrong format is refused: %j", (body, path, message) => {
  expect(parseFormat(JSON.stringify(body))).toEqual({ ok: false, path, message });
});

test("dates are those of the calendar", () => {
  for (let day = -800_000; day < 2_900_000; day += 997) {
    const date = new Date(dayStartMs(day))
      .toISOString()
      .replace(/T.*/, "")
      .replace(/^[+-]0*(?=\d{4})/, "");
    if (day >= -719_000) expect(dateText(day)).toBe(date);
    expect(dayOf(dayStartMs(day))).toBe(day);
    expect(dayOf(dayStartMs(day) - 1)).toBe(day - 1);
  }
});

test("a path says its range, and other paths say none", () => {
  const place = {
    topic: "a.b-c_d",
    day: 20_000,
    partition: 12,
    first: 0,
    end: 9_007_199_254_740_991,
  };
  const path = pathOf(place);
  expect(path).toBe("topic=a.b-c_d/date=2024-10-04/partition=12/0-9007199254740991.parquet");
  expect(rangeOf(path)).toEqual({
    topic: "a.b-c_d",
    partition: 12,
    first: 0,
    end: 9_007_199_254_740_991,
  });
  expect(rangeOf(`x/${path}`)).toEqual(rangeOf(path));
  for (const other of [`${path}.partial`, path.replace("0-", "-"), "_ayder/latest"]) {
    expect(rangeOf(other)).toBeNull();
  }
});
