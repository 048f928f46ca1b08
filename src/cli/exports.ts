/** `ayder exports`: lists, shows, creates, pauses, resumes, flushes and deletes exports to Parquet. */
import type { ExportDescription } from "../client/index.ts";
import { type Json, shortText } from "../client/json-text.ts";
import { stringifyExact } from "../client/json-values.ts";
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { columnOf } from "./export.ts";
import { numberOf, objectOf } from "./query-flags.ts";
import { decodeOf } from "./schema-file.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { bytesText, table } from "./table.ts";
import { durationOf } from "./times.ts";
import { filtersOf } from "./where.ts";

const CREATE = ["create"];

export const EXPORTS: Command = {
  name: "exports",
  summary: "list, show, create, pause, flush and delete exports",
  actions: [
    { name: "list", operands: "", summary: "list the exports (default)", run: list },
    { name: "show", operands: "<export>", summary: "show one export", run: show },
    {
      name: "create",
      operands: "<export> <topic> <url>",
      summary: "write a topic to s3://bucket/prefix or file:///directory as it grows",
      run: create,
    },
    { name: "pause", operands: "<export>", summary: "stop it until it is resumed", run: pause },
    { name: "resume", operands: "<export>", summary: "let it go on where it was", run: resume },
    {
      name: "flush",
      operands: "<export>",
      summary: "write files of everything that the topic has now",
      run: flush,
    },
    { name: "delete", operands: "<export>", summary: "forget it; its files stay", run: remove },
  ],
  options: {
    ...SERVER_OPTIONS,
    columns: {
      type: "string",
      value: "LIST",
      multiple: true,
      only: CREATE,
      help: "more columns: name=field:type,…",
    },
    where: {
      type: "string",
      value: "EXPR",
      multiple: true,
      only: CREATE,
      help: "only records that match: amount>4; all must hold",
    },
    values: {
      type: "string",
      value: "KIND",
      only: CREATE,
      help: "json: the column value has the type JSON",
    },
    decode: {
      type: "string",
      value: "FILE",
      only: CREATE,
      help: "schema of the values: .avsc or .proto",
    },
    message: {
      type: "string",
      value: "NAME",
      only: CREATE,
      help: "message type in a .proto file",
    },
    encoding: {
      type: "string",
      value: "KIND",
      only: CREATE,
      help: "binary (default) or json, by the schema",
    },
    every: {
      type: "string",
      value: "TIME",
      only: CREATE,
      help: "a file ends after this time (default: 10m)",
    },
    "max-bytes": {
      type: "string",
      value: "N",
      only: CREATE,
      help: "and after this many bytes of records (default: 134217728)",
    },
    compression: {
      type: "string",
      value: "KIND",
      only: CREATE,
      help: "zstd (default), snappy or none",
    },
    from: {
      type: "string",
      value: "START",
      only: CREATE,
      help: "earliest (default), or latest: only records from now on",
    },
    hold: { type: "boolean", only: CREATE, help: "retention waits for the export" },
  },
  notes: [
    "An export that exists is changed. Credentials come from the environment of the server.",
    "Example: ayder exports create orders orders s3://lake/events --columns amount=amount:double",
  ],
};

async function list(args: Arguments, io: Io): Promise<number> {
  const exports = await connect(args, io).exports.list();
  if (args.flag("json")) {
    await io.out(jsonLine({ exports }));
    return EXIT.ok;
  }
  const head = ["EXPORT", "TOPIC", "PLACE", "STATE", "FILES", "ROWS", "SIZE", "LAG", "LOST"];
  const rows = exports.map((each) => [
    each.export,
    each.topic,
    each.url,
    each.state,
    each.files,
    each.rows,
    bytesText(each.bytes),
    each.lagRecords,
    each.lost,
  ]);
  await io.out(table(head, rows));
  return EXIT.ok;
}

async function show(args: Arguments, io: Io): Promise<number> {
  const described = await connect(args, io).exports.describe(args.operand(0));
  if (args.flag("json")) await io.out(jsonLine(described));
  else await io.out(shownText(described));
  return EXIT.ok;
}

const isCell = (value: unknown): value is string | number | boolean | null =>
  typeof value !== "object" || value === null;

function shownText({ partitions, lastErrorAtMs, ...others }: ExportDescription): string {
  const rows = Object.entries(others)
    .filter(([name]) => name !== "ok")
    .map(([name, value]) => [
      name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
      isCell(value) ? value : stringifyExact(value),
    ]);
  const at = lastErrorAtMs === null ? null : new Date(lastErrorAtMs).toISOString();
  const cells = partitions.map((each) => [
    each.partition,
    each.nextOffset,
    each.endOffset,
    each.files,
    each.rows,
    each.lost,
    each.writing,
  ]);
  const head = ["PARTITION", "NEXT", "END", "FILES", "ROWS", "LOST", "WRITING"];
  return `${table(["FIELD", "VALUE"], [...rows, ["last error at", at]])}\n${table(head, cells)}`;
}

async function create(args: Arguments, io: Io): Promise<number> {
  const [name = "", topic = "", url = ""] = args.operands;
  const body = shortText(objectOf({ topic, url, ...(await definitionOf(args, io)) }));
  const path = `/broker/exports/${encodeURIComponent(name)}`;
  // As text, so that numbers in filters keep their digits.
  const request = { method: "PUT", path, body, repeatable: true } as const;
  const answer = await connect(args, io).request({ ...request, signal: io.interrupted });
  const { created } = JSON.parse(answer) as { readonly created: boolean };
  if (args.flag("json")) await io.out(jsonLine({ export: name, created }));
  else await io.out(`${created ? "created" : "changed"} ${name}\n`);
  return EXIT.ok;
}

/** @throws UsageError */
async function definitionOf(args: Arguments, io: Io): Promise<Record<string, Json | undefined>> {
  const kind = args.text("values");
  if (kind !== undefined && kind !== "json") {
    throw new UsageError(`--values: "${kind}" is not json`);
  }
  const json = kind === undefined ? undefined : new Map<string, Json>([["type", "json"]]);
  const columns = args.texts("columns").flatMap((text) => text.split(",").map(columnOf));
  const filter = args.texts("where").flatMap(filtersOf);
  const every = args.text("every");
  const maxBytes = args.integer("max-bytes", 1);
  return {
    decode: (await decodeOf(args, "", io)) ?? json,
    columns: columns.length === 0 ? undefined : columns,
    filter: filter.length === 0 ? undefined : filter,
    every_ms: every === undefined ? undefined : numberOf(durationOf("--every", every)),
    max_bytes: maxBytes === undefined ? undefined : numberOf(maxBytes),
    compression: args.text("compression"),
    from: args.text("from"),
    hold: args.flag("hold") ? true : undefined,
  };
}

async function pause(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  await connect(args, io).exports.pause(name);
  return await told(args, io, { export: name, paused: true }, `paused ${name}`);
}

async function resume(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  await connect(args, io).exports.resume(name);
  return await told(args, io, { export: name, paused: false }, `resumed ${name}`);
}

async function flush(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  const records = await connect(args, io).exports.flush(name);
  return await told(args, io, { export: name, records }, `${records} records are on their way`);
}

async function remove(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  await connect(args, io).exports.delete(name);
  return await told(args, io, { export: name, deleted: true }, `deleted ${name}; its files stay`);
}

async function told(args: Arguments, io: Io, json: object, text: string): Promise<number> {
  await io.out(args.flag("json") ? jsonLine(json) : `${text}\n`);
  return EXIT.ok;
}
