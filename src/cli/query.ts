/** `ayder query`: runs a query or a join and prints the rows as tables. */
import { badAnswer } from "../client/errors.ts";
import { type Json, JsonNumber, parseJson, shortText } from "../client/json-text.ts";
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { readAll } from "./kv.ts";
import { connect, SERVER_OPTIONS } from "./server.ts";
import { type Cell, counted, Digits, table } from "./table.ts";
import { visible } from "./visible.ts";

/** Maximum width of a column; --json prints the whole value. */
const CELL_CHARACTERS_MAX = 60;

export const QUERY: Command = {
  name: "query",
  summary: "filter, aggregate and join records",
  actions: [{ name: "", operands: "[json|file]", summary: "", run: query }],
  options: SERVER_OPTIONS,
  notes: [
    "The query is JSON: an argument, a file, or standard input. A query with `left` and `right` is a",
    "join. Nothing is committed. With --json, the answer of the server is printed unchanged.",
    "Examples:",
    '  ayder query \'{"source":{"topic":"sales","partition":0,"offset":0},"aggregate":',
    '    {"group_by":["region"],"measures":[{"op":"sum","field":"amount"}]}}\'',
    "  ayder query join.json --json | jq .rows",
  ],
};

async function query(args: Arguments, io: Io): Promise<number> {
  const queried = await queryText(args.operands[0], io);
  const body = parsedQuery(queried);
  const path = "left" in body && "right" in body ? "/broker/join" : "/broker/query";
  // The text is sent unchanged, so that numbers in it keep their digits.
  const request = { method: "POST", path, body: queried, repeatable: true } as const;
  const client = connect(args, io);
  const text = await client.request({ ...request, signal: io.interrupted });
  const answer = answerOf(text, client.url, "rows");
  await io.out(args.flag("json") ? `${text}\n` : answerText(answer));
  const missing = missingText(answer);
  if (missing !== null) io.err(`ayder: ${missing}\n`);
  return EXIT.ok;
}

/** The JSON of a query from an argument, a file or standard input. */
export async function queryText(operand: string | undefined, io: Io): Promise<string> {
  if (operand?.trimStart().startsWith("{") === true) return operand;
  if (operand === undefined || operand === "-") {
    if (io.stdinIsTty) io.err("ayder: reading the query from the terminal; Ctrl-D ends\n");
    return new TextDecoder().decode(await readAll(io.stdin));
  }
  try {
    return new TextDecoder().decode(await io.readFile(operand));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @throws UsageError if the text is not a JSON object. */
export function parsedQuery(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    throw new UsageError(
      `the query is not valid JSON: ${error instanceof Error ? error.message : error}`,
    );
  }
  throw new UsageError("the query is not a JSON object");
}

type Fields = ReadonlyMap<string, Json>;
const NO_FIELDS: Fields = new Map();

const fieldsOf = (value: Json | undefined): Fields => (value instanceof Map ? value : NO_FIELDS);
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);

/** Parses the answer with every digit, its fields in order. @throws AyderError if it is invalid. */
export function answerOf(text: string, where: string, list: "rows" | "aggregates"): Fields {
  let answer: Json = null;
  try {
    answer = parseJson(text);
  } catch {
    // Reported below.
  }
  if (answer instanceof Map && Array.isArray(answer.get(list))) return answer;
  throw badAnswer(
    `${where} answered 200, but the answer is not from Ayder: it has no ${list}`,
    200,
    "refused",
  );
}

/** Says which part the answer lacks and how to continue. Returns null for a complete answer. */
function missingText(answer: Fields): string | null {
  const source = fieldsOf(answer.get("source"));
  const offsetIn = (fields: Fields, name: string): string => shortText(fields.get(name) ?? null);
  if (answer.get("truncated") === true) {
    const next = fieldsOf(answer.get("next_offsets"));
    const where =
      next.size > 0
        ? `"offset":${offsetIn(next, "left")} in left and ${offsetIn(next, "right")} in right`
        : `"offset":${offsetIn(source, "next_offset")} in source`;
    return `truncated: more rows exist; continue with ${where}`;
  }
  if ((source.get("rows_next_offset") ?? null) === null) return null;
  return `more rows than emit_rows; continue with "offset":${offsetIn(source, "rows_next_offset")} in source`;
}

function answerText(answer: Fields): string {
  const rows = listOf(answer.get("rows"));
  const aggregates = listOf(answer.get("aggregates"));
  const tables = [
    rows.length === 0 ? "" : tableOf(rows.map(columnsOf)),
    aggregates.length === 0 ? "" : aggregatesText(answer),
  ].filter((text) => text !== "");
  const next = answer.get("next_offsets");
  const numbers = [
    ...fieldsOf(answer.get("source")),
    ...fieldsOf(answer.get("stats")),
    ...(next === undefined ? [] : [["next", next] as const]),
  ];
  const facts = numbers.map(([name, value]) => visible(`${name} ${shortText(value)}`));
  const none = tables.length === 0 ? `${counted(0, "row")}\n` : "";
  return `${none}${tables.join("\n")}\n${facts.join(", ")}\n`;
}

/** Turns nested objects into columns with dotted names, as queries name them. */
function columnsOf(row: Json): Fields {
  const columns = new Map<string, Json>();
  const add = (prefix: string, value: Json): void => {
    const entries = [...fieldsOf(value)];
    if (entries.length === 0) columns.set(prefix === "" ? "value" : prefix, value);
    for (const [name, item] of entries) add(prefix === "" ? name : `${prefix}.${name}`, item);
  };
  add("", row);
  return columns;
}

/** Columns of the group and the measures; `key` is omitted because it repeats the group. */
const aggregateColumns = (aggregate: Fields): Fields =>
  new Map([
    ...fieldsOf(aggregate.get("group")),
    ...[...aggregate].filter(([name]) => name !== "key" && name !== "group"),
  ]);

/** The groups of an aggregate as a table. */
export const aggregatesText = (answer: Fields): string =>
  tableOf(listOf(answer.get("aggregates")).map(fieldsOf).map(aggregateColumns));

/** Empty without rows, because the names of the columns are not known then. */
function tableOf(rows: readonly Fields[]): string {
  if (rows.length === 0) return "";
  const names = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  return table(
    names,
    rows.map((row) => names.map((name) => cellOf(row.get(name)))),
  );
}

function cellOf(value: Json | undefined): Cell {
  if (value === undefined) return "";
  if (value === null) return null;
  if (value instanceof JsonNumber) return new Digits(value.text);
  const text = shortText(value);
  return text.length > CELL_CHARACTERS_MAX ? `${text.slice(0, CELL_CHARACTERS_MAX - 1)}…` : text;
}
