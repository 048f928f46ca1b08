/** `ayder query`: a query or a join, with its rows as tables. */
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { readAll } from "./kv.ts";
import { connect, SERVER_OPTIONS } from "./server.ts";
import { type Cell, counted, table } from "./table.ts";

/** A column is not wider than this; --json has all of it. */
const CELL_CHARACTERS_MAX = 60;

export const QUERY: Command = {
  name: "query",
  summary: "filter, aggregate and join records",
  actions: [{ name: "", operands: "[json|file]", summary: "", run: query }],
  options: SERVER_OPTIONS,
  notes: [
    "The query as JSON: as argument, in a file, or on standard input. With `left` and `right` it is",
    "a join. Nothing is committed. With --json the answer comes as the server gave it.",
    "Examples:",
    '  ayder query \'{"source":{"topic":"sales","partition":0,"offset":0},"aggregate":',
    '    {"group_by":["region"],"measures":[{"op":"sum","field":"amount"}]}}\'',
    "  ayder query join.json --json | jq .rows",
  ],
};

async function query(args: Arguments, io: Io): Promise<number> {
  const text = await queryText(args.operands[0], io);
  const body = parsed(text);
  const path = "left" in body && "right" in body ? "/broker/join" : "/broker/query";
  // The text goes as it is, so that numbers in it keep their digits.
  const request = { method: "POST", path, body: text, repeatable: true } as const;
  const answer = await connect(args, io).request({ ...request, signal: io.interrupted });
  await io.out(args.flag("json") ? `${answer}\n` : answerText(JSON.parse(answer) as Answer));
  return EXIT.ok;
}

async function queryText(operand: string | undefined, io: Io): Promise<string> {
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

function parsed(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    throw new UsageError(`the query is no JSON: ${error instanceof Error ? error.message : error}`);
  }
  throw new UsageError("the query is no JSON object");
}

type Fields = Readonly<Record<string, unknown>>;
type Answer = {
  readonly rows: readonly unknown[];
  readonly aggregates?: readonly (Fields & { readonly group: Fields })[];
  readonly source?: Fields;
  readonly stats?: Fields;
  readonly next_offsets?: Fields;
};

function answerText({ rows, aggregates = [], source, stats, next_offsets }: Answer): string {
  const tables = [
    rows.length === 0 ? "" : tableOf(rows.map(columnsOf)),
    aggregates.length === 0 ? "" : tableOf(aggregates.map(aggregateColumns)),
  ].filter((text) => text !== "");
  const numbers = { ...source, ...stats, ...(next_offsets && { next: next_offsets }) };
  const facts = Object.entries(numbers).map(([name, value]) => `${name} ${cellOf(value)}`);
  const none = tables.length === 0 ? `${counted(0, "row")}\n` : "";
  return `${none}${tables.join("\n")}\n${facts.join(", ")}\n`;
}

/** Objects in objects become columns with dotted names, as queries name them. */
function columnsOf(row: unknown): Map<string, unknown> {
  const columns = new Map<string, unknown>();
  const add = (prefix: string, value: unknown): void => {
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    const entries = isObject ? Object.entries(value) : [];
    if (entries.length === 0) columns.set(prefix === "" ? "value" : prefix, value);
    for (const [name, item] of entries) add(prefix === "" ? name : `${prefix}.${name}`, item);
  };
  add("", row);
  return columns;
}

/** The group and the measures; `key` says the same as the group. */
const aggregateColumns = ({ key: _, group, ...rest }: Fields & { readonly group: Fields }) =>
  new Map([...Object.entries(group), ...Object.entries(rest)]);

function tableOf(rows: readonly Map<string, unknown>[]): string {
  const names = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  return table(
    names,
    rows.map((row) => names.map((name) => (row.has(name) ? cellOf(row.get(name)) : ""))),
  );
}

function cellOf(value: unknown): Cell {
  if (typeof value === "number" || value === null) return value;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > CELL_CHARACTERS_MAX ? `${text.slice(0, CELL_CHARACTERS_MAX - 1)}…` : text;
}
