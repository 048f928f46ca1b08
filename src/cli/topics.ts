/** `ayder topics`: lists, describes, creates and deletes topics. */
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { bytesText, counted, table } from "./table.ts";
import { visible } from "./visible.ts";

const PARTITIONS_MAX = 1_000_000;

export const TOPICS: Command = {
  name: "topics",
  summary: "list, describe, create and delete topics",
  actions: [
    { name: "list", operands: "", summary: "list all topics (default)", run: list },
    {
      name: "describe",
      operands: "<topic>",
      summary: "show partitions with offsets, and groups with lag",
      run: describe,
    },
    {
      name: "create",
      operands: "<topic>",
      summary: "create a topic, if it does not exist",
      run: create,
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
    yes: { type: "boolean", short: "y", only: ["delete"], help: "confirm the deletion" },
  },
  notes: ["Example: ayder topics create orders --partitions 4"],
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

async function describe(args: Arguments, io: Io): Promise<number> {
  const described = await connect(args, io).topics.describe(args.operand(0));
  if (args.flag("json")) {
    await io.out(jsonLine(described));
    return EXIT.ok;
  }
  const partitions = described.partitions.map((each) => [
    each.partition,
    each.lowWatermark,
    each.endOffset,
    each.endOffset - each.lowWatermark,
    bytesText(each.bytes),
  ]);
  await io.out(table(["PARTITION", "LOW", "END", "OFFSETS", "SIZE"], partitions));
  const groups = described.groups.map(({ group, partition, committedOffset, lag }) => [
    group,
    partition,
    committedOffset,
    lag,
  ]);
  if (groups.length > 0) {
    await io.out(`\n${table(["GROUP", "PARTITION", "COMMITTED", "LAG"], groups)}`);
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
