/** `ayder groups`: who reads, how far behind, and going forward. */
import type { Client, GroupLag } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, integerOf } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { table } from "./table.ts";

export const GROUPS: Command = {
  name: "groups",
  summary: "lag of consumer groups; seek forward; delete",
  actions: [
    {
      name: "lag",
      operands: "[topic] [group]",
      summary: "committed offsets and what is behind them (the default, for all topics)",
      run: lag,
    },
    {
      name: "seek",
      operands: "<topic> <group>",
      summary: "commit another offset, see --to",
      run: seek,
    },
    {
      name: "delete",
      operands: "<group>",
      summary: "forget what a group has committed, in all topics",
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
      help: "only this one (all of the topic)",
    },
    to: {
      type: "string",
      value: "OFFSET",
      only: ["seek"],
      help: "the next offset to read, or `latest` (skips what is there) or `earliest`",
    },
  },
  notes: [
    "A committed offset never moves back: what a group has finished stays finished. To read again,",
    "read from an offset without committing (ayder consume TOPIC --from 0), or use another group.",
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

async function seek(args: Arguments, io: Io): Promise<number> {
  const to = args.text("to") ?? "latest";
  const named = to === "latest" || to === "earliest";
  const fixed = named ? null : integerOf("--to", to);
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
  for (const { partition: each, endOffset, lowWatermark } of chosen) {
    const offset = fixed ?? (to === "latest" ? endOffset : lowWatermark);
    const committed = await client.commit({ topic, group, partition: each, offset });
    const place = `${topic}/${each}`;
    if (args.flag("json"))
      await io.out(jsonLine({ topic, group, partition: each, committedOffset: committed }));
    else if (committed === offset) await io.out(`${group} goes on at ${place} offset ${offset}\n`);
    if (committed === offset) continue;
    code = EXIT.refused;
    io.err(
      `ayder: ${group} has committed ${committed} of ${place}, and that never moves back to ${offset}; ` +
        `to read again: ayder consume ${topic} --partition ${each} --from ${offset}\n`,
    );
  }
  return code;
}
