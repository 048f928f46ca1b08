/** `ayder groups`: shows the lag and the members of consumer groups, moves them, deletes them. */
import { AyderError, type Client, type GroupLag, type PartitionInfo } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, offsetOr, UsageError } from "./command.ts";
import { describe } from "./group-describe.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { table } from "./table.ts";
import { timeOf } from "./times.ts";

export const GROUPS: Command = {
  name: "groups",
  summary: "show lag and members of consumer groups; seek, delete",
  actions: [
    {
      name: "lag",
      operands: "[topic] [group]",
      summary: "show committed offsets and lag (default, for all topics)",
      run: lag,
    },
    {
      name: "describe",
      operands: "<group>",
      summary: "show members, owners of partitions, and lag in messages and seconds",
      run: describe,
    },
    {
      name: "seek",
      operands: "<topic> <group>",
      summary: "move a group forward or back, see --to",
      run: seek,
    },
    {
      name: "delete",
      operands: "<group>",
      summary: "delete the committed offsets of a group in all topics, and remove its members",
      run: remove,
    },
  ],
  options: {
    ...SERVER_OPTIONS,
    partition: {
      type: "string",
      short: "p",
      value: "N",
      only: ["seek"],
      help: "one partition (default: all)",
    },
    to: {
      type: "string",
      value: "OFFSET",
      only: ["seek"],
      help: "next offset to read, or `latest` (skip existing messages) or `earliest`",
    },
    "to-time": {
      type: "string",
      value: "TIME",
      only: ["seek"],
      help: "the first message that is not older: an age such as 10m, or a timestamp",
    },
  },
  notes: [
    "The lag counts every partition of the topics that a group has joined or committed in.",
    "A seek also moves members: what they read before it is not committed any more.",
    "Several processes share a topic with ayder consume TOPIC --group NAME --join.",
  ],
};

async function remove(args: Arguments, io: Io): Promise<number> {
  const group = args.operand(0);
  const offsets = await connect(args, io).deleteGroup(group);
  if (args.flag("json")) await io.out(jsonLine({ group, deleted: true, offsets }));
  else await io.out(`deleted ${group} with ${offsets} committed offsets\n`);
  return EXIT.ok;
}

type Row = GroupLag & { readonly topic: string };

async function lag(args: Arguments, io: Io): Promise<number> {
  const client = connect(args, io);
  const [topic, group] = args.operands;
  const topics = topic === undefined ? await topicNames(client) : [topic];
  const rows: Row[] = [];
  for (const name of topics) {
    for (const each of await client.groups(name)) {
      if (group === undefined || each.group === group) rows.push({ topic: name, ...each });
    }
  }
  if (args.flag("json")) await io.out(jsonLine({ groups: rows }));
  else {
    const cells = rows.map((row) => [
      row.topic,
      row.group,
      row.partition,
      row.committedOffset,
      row.lag,
    ]);
    await io.out(table(["TOPIC", "GROUP", "PARTITION", "COMMITTED", "LAG"], cells));
  }
  return EXIT.ok;
}

const topicNames = async (client: Client): Promise<readonly string[]> =>
  (await client.topics.list()).map(({ topic }) => topic);

type Target = {
  readonly to: string;
  readonly fixed: number | null;
  readonly timeMs: number | null;
};

/** @throws UsageError */
function targetOf(args: Arguments): Target {
  const time = args.text("to-time");
  if (time !== undefined && args.text("to") !== undefined) {
    throw new UsageError("--to and --to-time exclude each other");
  }
  const to = args.text("to") ?? "latest";
  const named = to === "latest" || to === "earliest";
  const timeMs = time === undefined ? null : timeOf("--to-time", time, Date.now());
  const fixed = named ? null : offsetOr("--to", to, ["earliest", "latest"]);
  return { to, fixed, timeMs };
}

/** The offset of each partition that is meant. */
async function offsetsOf(
  client: Client,
  topic: string,
  partitions: readonly PartitionInfo[],
  { to, fixed, timeMs }: Target,
): Promise<ReadonlyMap<number, number>> {
  const atTime = timeMs === null ? [] : await client.offsetsAt(topic, timeMs);
  const byTime = new Map(atTime.map(({ partition, offset }) => [partition, offset]));
  return new Map(
    partitions.map(({ partition, endOffset, lowWatermark }) => {
      const named = to === "latest" ? endOffset : lowWatermark;
      return [partition, byTime.get(partition) ?? fixed ?? named];
    }),
  );
}

async function seek(args: Arguments, io: Io): Promise<number> {
  const target = targetOf(args);
  const { fixed } = target;
  const partition = args.integer("partition");
  const [topic = "", group = ""] = args.operands;
  const client = connect(args, io);
  const { partitions } = await client.topics.describe(topic);
  const chosen = partitions.filter(
    (each) => partition === undefined || each.partition === partition,
  );
  if (chosen.length === 0) {
    io.err(`ayder: ${topic} has no partition ${partition}: it has ${partitions.length}\n`);
    return EXIT.refused;
  }
  const short = chosen.find(({ endOffset }) => fixed !== null && fixed > endOffset);
  if (short !== undefined) {
    io.err(
      `ayder: offset ${fixed} is beyond the end of ${topic}/${short.partition}, which is ${short.endOffset}; ` +
        "nothing was committed\n",
    );
    return EXIT.refused;
  }
  const offsets = await offsetsOf(client, topic, chosen, target);
  for (const [each, offset] of offsets) {
    const committed = await moveTo(client, topic, group, each, offset);
    if (args.flag("json")) {
      await io.out(jsonLine({ topic, group, partition: each, committedOffset: committed }));
    } else await io.out(`${group} continues at ${topic}/${each} offset ${committed}\n`);
  }
  return EXIT.ok;
}

/** @returns the committed offset in force. */
async function moveTo(
  client: Client,
  topic: string,
  group: string,
  partition: number,
  offset: number,
): Promise<number> {
  try {
    const [sought] = await client.seekGroup(group, { topic, partition, to: { offset } });
    return sought?.committedOffset ?? offset;
  } catch (error) {
    // The first commit creates a group.
    if (!(error instanceof AyderError) || error.code !== "group_not_found") throw error;
    return await client.commit({ topic, group, partition, offset });
  }
}
