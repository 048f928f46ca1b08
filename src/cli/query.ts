/** `ayder query`: runs a query and prints the rows as tables. */
import { badAnswer } from "../client/errors.ts";
import type { Client } from "../client/index.ts";
import { type Json, JsonNumber, parseJson, shortText } from "../client/json-text.ts";
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { readAll } from "./kv.ts";
import {
  type FlagQuery,
  hasFlag,
  PRINT_JSON,
  QUERY_FLAGS,
  queryOfFlags,
  startOf,
} from "./query-flags.ts";
import { type Answered, mergedAnswer } from "./query-partitions.ts";
import { connect, SERVER_OPTIONS } from "./server.ts";
import { type Cell, counted, Digits, table } from "./table.ts";
import { visible } from "./visible.ts";

/** Maximum width of a column; --json prints the whole value. */
const CELL_CHARACTERS_MAX = 60;
const TOPIC = /^[A-Za-z0-9._-]{1,249}$/;

export const QUERY: Command = {
  name: "query",
  summary: "filter and aggregate records",
  actions: [{ name: "", operands: "[topic|json|file]", summary: "", run: query }],
  options: { ...SERVER_OPTIONS, ...PRINT_JSON, ...QUERY_FLAGS },
  notes: [
    "A query is a topic with options, or JSON: an argument, a file, or standard input.",
    'Values are numbers, true, false, null or text; "7" in quotes is text. Nothing is committed.',
    "Example: ayder query sales --where 'amount>4' --group-by region --sum amount --window 1m",
  ],
};

async function query(args: Arguments, io: Io): Promise<number> {
  const client = connect(args, io);
  const [operand] = args.operands;
  const flagged = hasFlag(args, QUERY_FLAGS) || (await isTopic(operand, io));
  if (!flagged) return await run(await queryText(operand, io), false, client, args, io);
  const asked = await queryOfFlags(topicOf(operand), args, io);
  const partitions = await partitionsOf(asked, client);
  if (partitions.length > 1) return await runAll(asked, partitions, client, args, io);
  const [partition = 0] = partitions;
  const offset = await startOf(args, "", client, asked.topic, partition);
  return await run(shortText(asked.request(partition, offset)), true, client, args, io);
}

async function partitionsOf(
  { topic, partition }: FlagQuery,
  client: Client,
): Promise<readonly number[]> {
  if (partition !== null) return [partition];
  const described = await client.topics.describe(topic);
  return described.partitions.map((each) => each.partition);
}

/** Reads all partitions, one after the other, and prints one table of all of them. */
async function runAll(
  asked: FlagQuery,
  partitions: readonly number[],
  client: Client,
  args: Arguments,
  io: Io,
): Promise<number> {
  const starts = new Map<number, number | undefined>();
  for (const partition of partitions) {
    starts.set(partition, await startOf(args, "", client, asked.topic, partition));
  }
  if (args.flag("print-json")) {
    const bodies = partitions.map((each) => shortText(asked.request(each, starts.get(each))));
    await io.out(`${bodies.join("\n")}\n`);
    return EXIT.ok;
  }
  const send = async (request: Json): Promise<Answered> => {
    const body = shortText(request);
    const path = "/broker/query";
    const text = await client.request({
      ...{ method: "POST", path, body, repeatable: true },
      signal: io.interrupted,
    } as const);
    return { text, answer: answerOf(text, client.url, "rows") };
  };
  if (args.flag("json")) {
    for (const each of partitions) {
      await io.out(`${(await send(asked.request(each, starts.get(each)))).text}\n`);
    }
    return EXIT.ok;
  }
  const { answer, incomplete } = await mergedAnswer(asked, starts, send);
  await io.out(answerText(answer));
  if (incomplete.length > 0) {
    io.err(`ayder: truncated: more rows exist; continue with ${incomplete.join(", ")}\n`);
  }
  return EXIT.ok;
}

/** Checks the topic of a query that is given as options. @throws UsageError */
export function topicOf(topic: string | undefined): string {
  if (topic !== undefined && TOPIC.test(topic)) return topic;
  const given = topic === undefined ? "none is given" : `${JSON.stringify(topic)} is not one`;
  throw new UsageError(`these options need the name of a topic: ${given}`);
}

/** A word that is not a file is a topic; a name with a slash or `.json` is always a file. */
async function isTopic(operand: string | undefined, io: Io): Promise<boolean> {
  if (operand === undefined || operand === "-" || !TOPIC.test(operand)) return false;
  if (operand.endsWith(".json")) return false;
  return await io.readFile(operand).then(
    () => false,
    () => true,
  );
}

/** Sends a query or a join, and prints its answer. @param flagged it was given as options. */
export async function run(
  body: string,
  flagged: boolean,
  client: Client,
  args: Arguments,
  io: Io,
): Promise<number> {
  const parsed = parsedQuery(body);
  if (args.flag("print-json")) {
    await io.out(`${body.trim()}\n`);
    return EXIT.ok;
  }
  const path = "left" in parsed && "right" in parsed ? "/broker/join" : "/broker/query";
  // The text is sent unchanged, so that numbers in it keep their digits.
  const request = { method: "POST", path, body, repeatable: true } as const;
  const text = await client.request({ ...request, signal: io.interrupted });
  const answer = answerOf(text, client.url, "rows");
  await io.out(args.flag("json") ? `${text}\n` : answerText(answer));
  const missing = missingText(answer, flagged);
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
    const reason = (error instanceof Error ? error.message : String(error)).split(",")[0];
    throw new UsageError(
      `${JSON.stringify(operand)} is not a JSON object and cannot be read as a file (${reason}); to query a topic, add options such as --count`,
    );
  }
}

/** @throws UsageError if the text is not a JSON object. */
export function parsedQuery(text: string): object {
  if (text.trim() === "") {
    throw new UsageError(
      "a topic with options, or a query in JSON as an argument, a file or standard input, is missing",
    );
  }
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
function missingText(answer: Fields, flagged: boolean): string | null {
  const source = fieldsOf(answer.get("source"));
  const offsetIn = (fields: Fields, name: string): string => shortText(fields.get(name) ?? null);
  const at = (offset: string): string =>
    flagged ? `--from ${offset}` : `"offset":${offset} in source`;
  if (answer.get("truncated") === true) {
    const next = fieldsOf(answer.get("next_offsets"));
    const [left, right] = [offsetIn(next, "left"), offsetIn(next, "right")];
    const sides = flagged
      ? `--left-from ${left} --right-from ${right}`
      : `"offset":${left} in left and ${right} in right`;
    const where = next.size > 0 ? sides : at(offsetIn(source, "next_offset"));
    return `truncated: more rows exist; continue with ${where}`;
  }
  if ((source.get("rows_next_offset") ?? null) === null) return null;
  const limit = flagged ? "--rows" : "emit_rows";
  return `more rows than ${limit}; continue with ${at(offsetIn(source, "rows_next_offset"))}`;
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
