/** `ayder topics trim`: deletes the oldest messages, up to an offset or a time. */
import type { Client, PartitionInfo } from "../client/index.ts";
import { type Arguments, EXIT, type Io, UsageError } from "./command.ts";
import { connect, jsonLine } from "./server.ts";
import { counted } from "./table.ts";
import { timeOf } from "./times.ts";
import { visible } from "./visible.ts";

/** The messages of a partition that are deleted: those before `offset`. */
type Cut = { readonly partition: number; readonly offset: number; readonly messages: number };

export async function trim(args: Arguments, io: Io): Promise<number> {
  const topic = args.operand(0);
  const limit = limitOf(args);
  const partition = args.integer("partition");
  const client = connect(args, io);
  const { partitions } = await client.topics.describe(topic);
  const chosen = partitions.filter(
    (each) => partition === undefined || each.partition === partition,
  );
  if (chosen.length === 0) {
    const name = visible(topic);
    io.err(`ayder: ${name} has no partition ${partition}: it has ${partitions.length}\n`);
    return EXIT.refused;
  }
  const cuts = await cutsOf(client, topic, chosen, limit);
  if (!args.flag("yes")) {
    const places = cuts.map((cut) => cutText(topic, cut)).join(", ");
    io.err(`ayder: nothing was deleted; confirm with --yes: ${places || "nothing is that old"}\n`);
    return EXIT.usage;
  }
  for (const cut of cuts) {
    const place = { topic, partition: cut.partition };
    const deleted = await client.deleteBefore({ ...place, beforeOffset: cut.offset });
    const text = `deleted ${counted(deleted.deletedCount, "message")} of ${topic}/${cut.partition}\n`;
    await io.out(args.flag("json") ? jsonLine({ ...place, ...deleted }) : text);
  }
  if (cuts.length === 0 && !args.flag("json")) await io.out("deleted 0 messages\n");
  return EXIT.ok;
}

type Limit =
  | { readonly kind: "offset"; readonly offset: number }
  | { readonly kind: "time"; readonly timeMs: number };

/** @throws UsageError */
function limitOf(args: Arguments): Limit {
  const offset = args.integer("before");
  const time = args.text("before-time");
  if (offset !== undefined && time !== undefined) {
    throw new UsageError("--before and --before-time exclude each other");
  }
  if (time !== undefined)
    return { kind: "time", timeMs: timeOf("--before-time", time, Date.now()) };
  if (offset === undefined) throw new UsageError("topics trim needs --before or --before-time");
  if (args.text("partition") === undefined) {
    throw new UsageError("--before needs --partition, because each partition has its own offsets");
  }
  return { kind: "offset", offset };
}

async function cutsOf(
  client: Client,
  topic: string,
  partitions: readonly PartitionInfo[],
  limit: Limit,
): Promise<readonly Cut[]> {
  const byTime =
    limit.kind === "time"
      ? new Map(
          (await client.offsetsAt(topic, limit.timeMs)).map((at) => [at.partition, at.offset]),
        )
      : null;
  return partitions.flatMap(({ partition, lowWatermark, endOffset }) => {
    const wanted = limit.kind === "offset" ? limit.offset : (byTime?.get(partition) ?? 0);
    const offset = Math.min(wanted, endOffset);
    return offset > lowWatermark ? [{ partition, offset, messages: offset - lowWatermark }] : [];
  });
}

const cutText = (topic: string, { partition, offset, messages }: Cut): string =>
  `${counted(messages, "message")} of ${topic}/${partition} before offset ${offset}`;
