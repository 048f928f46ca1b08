/** `ayder groups`: shows the lag of consumer groups, moves them forward, deletes them. */
import type { Client, GroupLag, PartitionInfo } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, integerOf, UsageError } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { table } from "./table.ts";
import { timeOf } from "./times.ts";

export const GROUPS: Command = {
  name: "groups",
  summary: "show lag of consumer groups; seek, delete",
  actions: [
    {
      name: "lag",
      operands: "[topic] [group]",
      summary: "show committed offsets and lag (default, for all topics)",
      run: lag,
    },
    {
      name: "seek",
      operands: "<topic> <group>",
      summary: "move a group forward, see --to",
      run: seek,
    },
    {
      name: "delete",
      operands: "<group>",
      summary: "delete the committed offsets of a group in all topics",
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
    "A committed offset never moves backward. To read messages again, read from an offset without",
    "committing (ayder consume TOPIC --from 0), or use another group.",
    "A seek backward changes nothing and exits with 1.",
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
  return { to, fixed: named ? null : integerOf("--to", to), timeMs };
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
  let code: number = EXIT.ok;
  const offsets = await offsetsOf(client, topic, chosen, target);
  for (const [each, offset] of offsets) {
    const committed = await client.commit({ topic, group, partition: each, offset });
    const place = `${topic}/${each}`;
    if (args.flag("json"))
      await io.out(jsonLine({ topic, group, partition: each, committedOffset: committed }));
    else if (committed === offset)
      await io.out(`${group} continues at ${place} offset ${offset}\n`);
    if (committed === offset) continue;
    code = EXIT.refused;
    io.err(
      `ayder: ${group} has committed ${committed} of ${place}, and a committed offset never moves back to ${offset}; ` +
        `to read again: ayder consume ${topic} --partition ${each} --from ${offset}\n`,
    );
  }
  return code;
}
