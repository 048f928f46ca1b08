/** Filters as they are typed: `amount>4`, `region=eu,us`, `name~shop`. */
import { type Json, JsonNumber, parseJson } from "../client/json-text.ts";
import { UsageError } from "./command.ts";

export type Filter = ReadonlyMap<string, Json>;

const OPERATORS = ["=", "!=", ">", ">=", "<", "<=", "~"] as const;
const EXPRESSION = /^\s*([^=!<>~]*[^=!<>~\s])\s*(!=|>=|<=|==?|>|<|~)(.*)$/s;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const QUOTED = /\s*"(?:[^"\\]|\\.)*"\s*/y;

const ORDERED: Readonly<Record<string, string>> = { ">": "gt", ">=": "ge", "<": "lt", "<=": "le" };

/**
 * Reads one filter. All filters of a query must hold, so `!=` with several values is one filter for
 * each of them.
 *
 * @throws UsageError
 */
export function filtersOf(text: string): readonly Filter[] {
  const [, field = "", operator = "", rest = ""] = EXPRESSION.exec(text) ?? [];
  if (field === "") {
    throw new UsageError(
      `--where: ${JSON.stringify(text)} is not FIELD OPERATOR VALUE; operators: ${OPERATORS.join(" ")}`,
    );
  }
  const values = valuesOf(rest, text);
  const [first = ""] = values;
  if (operator === "!=") return values.map((value) => filter(field, "ne", value));
  if (operator === "=" || operator === "==") {
    return [values.length === 1 ? filter(field, "eq", first) : filter(field, "in", [...values])];
  }
  if (values.length > 1) {
    throw new UsageError(
      `--where: ${JSON.stringify(text)} has ${values.length} values, and ${operator} takes one; a text with a comma stands in quotes: ${field}${operator}"a,b"`,
    );
  }
  return [filter(field, ORDERED[operator] ?? "contains", first)];
}

const filter = (field: string, op: string, value: Json): Filter =>
  new Map<string, Json>([
    ["field", field],
    ["op", op],
    ["value", value],
  ]);

/** The values between commas. A list or an object is one value. */
function valuesOf(text: string, whole: string): readonly Json[] {
  const trimmed = text.trim();
  if (trimmed.startsWith("[") || trimmed.startsWith("{")) return [jsonOf(trimmed, whole)];
  const values: Json[] = [];
  let at = 0;
  do {
    QUOTED.lastIndex = at;
    const quoted = QUOTED.exec(text)?.[0];
    const comma = text.indexOf(",", at + (quoted?.length ?? 0));
    const end = comma === -1 ? text.length : comma;
    const item = text.slice(at, end).trim();
    values.push(item.startsWith('"') ? jsonOf(item, whole) : wordOf(item));
    at = end + 1;
  } while (at <= text.length);
  return values;
}

/** A number, `true`, `false` and `null` mean themselves; anything else is text. */
function wordOf(word: string): Json {
  if (NUMBER.test(word)) return new JsonNumber(word);
  if (word === "true" || word === "false") return word === "true";
  return word === "null" ? null : word;
}

function jsonOf(text: string, whole: string): Json {
  try {
    return parseJson(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--where: ${JSON.stringify(whole)}: ${text} is not valid JSON: ${reason}`);
  }
}
