/** `ayder join`: joins two topics and prints the rows as a table. */
import type { Client } from "../client/index.ts";
import { type Json, shortText } from "../client/json-text.ts";
import { type Arguments, type Command, type Io, UsageError } from "./command.ts";
import { run } from "./query.ts";
import {
  namesOf,
  numberOf,
  objectOf,
  onlyPartition,
  PRINT_JSON,
  RECORDS_MAX,
  startOf,
} from "./query-flags.ts";
import { decodeOf } from "./schema-file.ts";
import { connect, SERVER_OPTIONS } from "./server.ts";
import { durationIn } from "./times.ts";

const TYPES = ["inner", "left", "right", "full"];
const MISSING = ["null", "empty"];

export const JOIN: Command = {
  name: "join",
  summary: "join the records of two topics within a time window",
  actions: [{ name: "", operands: "<left-topic> <right-topic>", summary: "", run: join }],
  options: {
    ...SERVER_OPTIONS,
    ...PRINT_JSON,
    on: {
      type: "string",
      value: "KEY",
      multiple: true,
      help: "fields that must be equal: user.id=id, or id for both sides",
    },
    type: { type: "string", value: "TYPE", help: `${TYPES.join(", ")} (default: inner)` },
    window: { type: "string", value: "TIME", help: "largest time between two records (1m)" },
    lateness: {
      type: "string",
      value: "TIME",
      help: "accept records that are this much late (0s)",
    },
    by: { type: "string", value: "FIELD", help: "time of a record (default: the record's)" },
    once: { type: "boolean", help: "each record takes part in one pair at most" },
    "left-select": {
      type: "string",
      value: "FIELDS",
      multiple: true,
      help: "fields of the left side",
    },
    "right-select": {
      type: "string",
      value: "FIELDS",
      multiple: true,
      help: "and of the right side",
    },
    missing: {
      type: "string",
      value: "AS",
      help: "a side without a match: null (default) or empty",
    },
    rows: { type: "string", value: "N", help: "print at most this many rows (200)" },
    limit: {
      type: "string",
      short: "n",
      value: "N",
      help: "read at most this many records a side (500)",
    },
    "left-partition": { type: "string", value: "N", help: "partition (default: the only one)" },
    "right-partition": { type: "string", value: "N", help: "partition (default: the only one)" },
    "left-from": {
      type: "string",
      value: "OFFSET",
      help: "first offset (default: the first stored one)",
    },
    "right-from": {
      type: "string",
      value: "OFFSET",
      help: "first offset (default: the first stored one)",
    },
    since: { type: "string", value: "TIME", help: "start both sides at an age or a timestamp" },
    "left-decode": { type: "string", value: "FILE", help: "schema of the values: .avsc or .proto" },
    "right-decode": {
      type: "string",
      value: "FILE",
      help: "schema of the values: .avsc or .proto",
    },
    "left-message": { type: "string", value: "NAME", help: "message type in a .proto file" },
    "right-message": { type: "string", value: "NAME", help: "message type in a .proto file" },
    encoding: { type: "string", value: "KIND", help: "binary (default) or json, by the schemas" },
  },
  notes: [
    "The JSON form of a join is run by ayder query.",
    "Example: ayder join sales users --on user.id=id --window 1h --left-select amount",
  ],
};

async function join(args: Arguments, io: Io): Promise<number> {
  const client = connect(args, io);
  return await run(shortText(await joinOf(args, client, io)), true, client, args, io);
}

/** @throws UsageError */
async function joinOf(args: Arguments, client: Client, io: Io): Promise<Json> {
  const on = keysOf(args);
  const type = oneOf(args, "type", TYPES);
  const missing = oneOf(args, "missing", MISSING);
  const window = windowOf(args);
  const emit = {
    left_fields: listOf(args, "left-select"),
    right_fields: listOf(args, "right-select"),
    max_rows: numberOf(args.integer("rows", 1, RECORDS_MAX)),
    missing_as: missing,
  };
  const limit = args.integer("limit", 1, RECORDS_MAX);
  const decodes = [await decodeOf(args, "left-", io), await decodeOf(args, "right-", io)];
  if (args.text("encoding") !== undefined && decodes.every((each) => each === undefined)) {
    throw new UsageError("--encoding needs --left-decode or --right-decode");
  }
  const side = async (at: 0 | 1): Promise<Json> => {
    const topic = args.operand(at);
    const prefix = at === 0 ? "left-" : "right-";
    const option = `${prefix}partition`;
    const partition = args.integer(option) ?? (await onlyPartition(client, topic, `--${option}`));
    const offset = await startOf(args, prefix, client, topic, partition);
    return objectOf({
      topic,
      partition: numberOf(partition),
      offset: numberOf(offset),
      limit: numberOf(limit),
      decode: decodes[at],
    });
  };
  return objectOf({
    left: await side(0),
    right: await side(1),
    on,
    window,
    join: type === undefined ? undefined : objectOf({ type }),
    emit: Object.values(emit).every((each) => each === undefined) ? undefined : objectOf(emit),
    dedupe_once: args.flag("once") ? true : undefined,
  });
}

function keysOf(args: Arguments): Json {
  const keys = namesOf(args, "on");
  if (keys === undefined) throw new UsageError("join needs --on: which fields must be equal?");
  const pairs = keys.map((key) => {
    const [left = "", right = left, ...more] = key.split("=").map((name) => name.trim());
    if (left === "" || right === "" || more.length > 0) {
      throw new UsageError(`--on: ${JSON.stringify(key)} is neither FIELD nor LEFT=RIGHT`);
    }
    return { left, right };
  });
  return objectOf({
    left_keys: pairs.map(({ left }) => left),
    right_keys: pairs.map(({ right }) => right),
  });
}

function windowOf(args: Arguments): Json | undefined {
  const fields = {
    size_ms: numberOf(durationIn(args, "window", 0)),
    allowed_lateness_ms: numberOf(durationIn(args, "lateness", 0)),
    time_field: args.text("by"),
  };
  return Object.values(fields).every((each) => each === undefined) ? undefined : objectOf(fields);
}

function listOf(args: Arguments, option: string): Json | undefined {
  const names = namesOf(args, option);
  return names && [...names];
}

/** @throws UsageError that names what is allowed. */
function oneOf(args: Arguments, option: string, allowed: readonly string[]): string | undefined {
  const text = args.text(option);
  if (text === undefined || allowed.includes(text)) return text;
  throw new UsageError(`--${option}: ${JSON.stringify(text)} is not one of: ${allowed.join(", ")}`);
}
