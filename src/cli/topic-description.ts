/** `ayder topics describe`: partitions with offsets, by key and by time, and groups with lag. */
import type { OffsetAt, PartitionInfo, TopicDescription } from "../client/index.ts";
import { partitionOfKey } from "../lib/partitioner.ts";
import { type Arguments, EXIT, type Io } from "./command.ts";
import { connect, jsonLine } from "./server.ts";
import { bytesText, type Cell, table } from "./table.ts";
import { timeOf } from "./times.ts";
import { visible } from "./visible.ts";

export async function describe(args: Arguments, io: Io): Promise<number> {
  const topic = args.operand(0);
  const at = args.text("at");
  const timeMs = at === undefined ? null : timeOf("--at", at, Date.now());
  const client = connect(args, io);
  const all = await client.topics.describe(topic);
  const key = args.text("key");
  const described = key === undefined ? all : ofPartition(all, partitionFor(key, all));
  const offsets = timeMs === null ? null : await client.offsetsAt(topic, timeMs);
  const shown = offsets?.filter(({ partition }) => isShown(described, partition)) ?? null;
  if (args.flag("json")) {
    const atTime = shown === null ? {} : { timeMs, offsets: shown };
    await io.out(jsonLine({ ...described, ...atTime }));
    return EXIT.ok;
  }
  if (key !== undefined) {
    const [{ partition = 0 } = {}] = described.partitions;
    await io.out(`key ${visible(key)} goes to partition ${partition}\n\n`);
  }
  await io.out(partitionTable(described.partitions, shown));
  if (described.groups.length > 0) await io.out(`\n${groupTable(described)}`);
  return EXIT.ok;
}

/** The choice of the server, which is that of Kafka's clients. */
const partitionFor = (key: string, { partitions }: TopicDescription): number =>
  partitionOfKey(new TextEncoder().encode(key), partitions.length);

const isShown = ({ partitions }: TopicDescription, partition: number): boolean =>
  partitions.some((each) => each.partition === partition);

const ofPartition = (described: TopicDescription, partition: number): TopicDescription => ({
  ...described,
  partitions: described.partitions.filter((each) => each.partition === partition),
  groups: described.groups.filter((each) => each.partition === partition),
});

function partitionTable(
  partitions: readonly PartitionInfo[],
  offsets: readonly OffsetAt[] | null,
): string {
  const atTime = new Map(offsets?.map((each) => [each.partition, each]));
  const rows = partitions.map((each): Cell[] => {
    const { partition, lowWatermark, endOffset, bytes } = each;
    const row = [partition, lowWatermark, endOffset, endOffset - lowWatermark, bytesText(bytes)];
    if (offsets === null) return row;
    const found = atTime.get(partition);
    const timestampMs = found?.timestampMs ?? null;
    return [
      ...row,
      found?.offset,
      timestampMs === null ? "at the end" : new Date(timestampMs).toISOString(),
    ];
  });
  const head = ["PARTITION", "LOW", "END", "OFFSETS", "SIZE"];
  return table(offsets === null ? head : [...head, "AT TIME", "TIMESTAMP"], rows);
}

const groupTable = ({ groups }: TopicDescription): string =>
  table(
    ["GROUP", "PARTITION", "COMMITTED", "LAG"],
    groups.map(({ group, partition, committedOffset, lag }) => [
      group,
      partition,
      committedOffset,
      lag,
    ]),
  );
