/** `ayder topics`: lists, describes, creates and deletes topics; limits and deletes their messages. */
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { limitOptions, limitsOf, policyTable, set } from "./retention.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { bytesText, counted, table } from "./table.ts";
import { describe } from "./topic-description.ts";
import { trim } from "./topic-trim.ts";
import { visible } from "./visible.ts";

const PARTITIONS_MAX = 1_000_000;

export const TOPICS: Command = {
  name: "topics",
  summary: "list, describe, create and delete topics; limit and delete messages",
  actions: [
    { name: "list", operands: "", summary: "list all topics (default)", run: list },
    {
      name: "describe",
      operands: "<topic>",
      summary: "show partitions with offsets, and groups with lag; by key, by time",
      run: describe,
    },
    {
      name: "create",
      operands: "<topic>",
      summary: "create a topic, if it does not exist",
      run: create,
    },
    {
      name: "retention",
      operands: "<topic>",
      summary: "show the limits that apply to a topic, or set them",
      run: retention,
    },
    {
      name: "trim",
      operands: "<topic>",
      summary: "delete old messages, see --before; needs --yes",
      run: trim,
    },
    {
      name: "delete",
      operands: "<topic...>",
      summary: "delete topics with all records and groups; needs --yes",
      run: remove,
    },
  ],
  options: {
    ...SERVER_OPTIONS,
    partitions: {
      type: "string",
      short: "p",
      value: "N",
      only: ["create"],
      help: "number of partitions, fixed at creation (default: of the server, 8)",
    },
    key: {
      type: "string",
      short: "k",
      value: "KEY",
      only: ["describe"],
      help: "only the partition that messages with this key go to",
    },
    at: {
      type: "string",
      value: "TIME",
      only: ["describe"],
      help: "the first message that is not older: an age such as 10m, or a timestamp",
    },
    partition: {
      type: "string",
      value: "N",
      only: ["retention", "trim"],
      help: "one partition (default: all)",
    },
    ...limitOptions("retention"),
    before: {
      type: "string",
      value: "OFFSET",
      only: ["trim"],
      help: "delete what is before this offset; needs --partition",
    },
    "before-time": {
      type: "string",
      value: "TIME",
      only: ["trim"],
      help: "delete what is older: an age such as 7d, or a timestamp",
    },
    yes: { type: "boolean", short: "y", only: ["delete", "trim"], help: "confirm the deletion" },
  },
  notes: [
    "Example: ayder topics create orders --partitions 4",
    "Example: ayder topics trim orders --before-time 30d --yes",
  ],
};

async function list(args: Arguments, io: Io): Promise<number> {
  const topics = await connect(args, io).topics.list();
  if (args.flag("json")) await io.out(jsonLine({ topics }));
  else {
    const rows = topics.map(({ topic, partitions, messages, bytes }) => [
      topic,
      partitions,
      messages,
      bytesText(bytes),
    ]);
    await io.out(table(["TOPIC", "PARTITIONS", "MESSAGES", "SIZE"], rows));
  }
  return EXIT.ok;
}

async function create(args: Arguments, io: Io): Promise<number> {
  const partitions = args.integer("partitions", 1, PARTITIONS_MAX);
  const created = await connect(args, io).topics.create(args.operand(0), { partitions });
  const text = `${visible(created.topic)} has ${counted(created.partitions, "partition")}\n`;
  await io.out(args.flag("json") ? jsonLine(created) : text);
  return EXIT.ok;
}

/** Sets the limits if one is given. Otherwise shows those that apply. */
async function retention(args: Arguments, io: Io): Promise<number> {
  if (limitsOf(args) !== undefined) return await set(args, io);
  if (args.text("partition") !== undefined) {
    throw new UsageError("--partition needs a limit: give --ttl, --max-bytes or both");
  }
  const topic = args.operand(0);
  const client = connect(args, io);
  await client.topics.describe(topic); // Refused if the topic does not exist.
  const all = await client.retention.list();
  const policies = all.filter((policy) => policy.topic === topic || policy.topic === "*");
  await io.out(args.flag("json") ? jsonLine({ policies }) : policyTable(policies));
  return EXIT.ok;
}

async function remove(args: Arguments, io: Io): Promise<number> {
  if (!args.flag("yes")) {
    io.err(`ayder: nothing was deleted; confirm with --yes: ${args.operands.join(", ")}\n`);
    return EXIT.usage;
  }
  const client = connect(args, io);
  for (const topic of args.operands) {
    await client.topics.delete(topic);
    await io.out(args.flag("json") ? jsonLine({ topic, deleted: true }) : `${topic} is deleted\n`);
  }
  return EXIT.ok;
}
