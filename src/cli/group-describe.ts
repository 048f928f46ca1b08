/** `ayder groups describe`: members, owners and lag of a group. */
import { type Arguments, EXIT, type Io } from "./command.ts";
import { connect, jsonLine } from "./server.ts";
import { table } from "./table.ts";

export async function describe(args: Arguments, io: Io): Promise<number> {
  const described = await connect(args, io).describeGroup(args.operand(0));
  if (args.flag("json")) {
    const { group, members, partitions, lag } = described;
    await io.out(jsonLine({ group, members, partitions, lag }));
    return EXIT.ok;
  }
  if (described.members.length > 0) {
    const members = described.members.map((each) => [
      each.member,
      each.partitions,
      each.topics.join(" "),
      new Date(each.leaseUntilMs).toISOString(),
    ]);
    await io.out(`${table(["MEMBER", "PARTITIONS", "TOPICS", "LEASE UNTIL"], members)}\n`);
  }
  const partitions = described.partitions.map((each) => [
    each.topic,
    each.partition,
    each.next === undefined ? (each.owner ?? "") : `${each.owner ?? ""} > ${each.next}`,
    each.generation,
    each.committedOffset,
    each.lag,
    each.lagSeconds,
  ]);
  const head = ["TOPIC", "PARTITION", "OWNER", "GENERATION", "COMMITTED", "LAG", "SECONDS"];
  await io.out(table(head, partitions));
  return EXIT.ok;
}
