/** `ayder producers`: lists and forgets producers that number their writes. */
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { table } from "./table.ts";
import { visible } from "./visible.ts";

export const PRODUCERS: Command = {
  name: "producers",
  summary: "list and forget producers that number their writes",
  actions: [
    {
      name: "list",
      operands: "<topic>",
      summary: "list the last write of each producer, the latest first",
      run: list,
    },
    {
      name: "forget",
      operands: "<topic> <id>",
      summary: "forget a producer: its numbers begin at 0 again",
      run: forget,
    },
  ],
  options: {
    ...SERVER_OPTIONS,
    partition: {
      type: "string",
      short: "p",
      value: "N",
      only: ["list"],
      help: "one partition (default: all)",
    },
    limit: {
      type: "string",
      short: "n",
      value: "N",
      only: ["list"],
      help: "maximum number of producers, at most 1000 (100)",
    },
  },
  notes: ["A request of a forgotten producer that is repeated may be stored a second time."],
};

async function list(args: Arguments, io: Io): Promise<number> {
  const [topic = ""] = args.operands;
  const { total, producers } = await connect(args, io).topics.producers(topic, {
    partition: args.integer("partition"),
    limit: args.integer("limit"),
  });
  if (args.flag("json")) {
    await io.out(jsonLine({ topic, total, producers }));
    return EXIT.ok;
  }
  const cells = producers.map((each) => [
    visible(each.id),
    each.partition,
    each.epoch,
    each.seq,
    each.offset,
    new Date(each.lastWriteMs).toISOString(),
  ]);
  await io.out(table(["PRODUCER", "PARTITION", "EPOCH", "SEQ", "OFFSET", "LAST WRITE"], cells));
  return EXIT.ok;
}

async function forget(args: Arguments, io: Io): Promise<number> {
  const [topic = "", id = ""] = args.operands;
  const partitions = await connect(args, io).topics.forgetProducer(topic, id);
  if (args.flag("json")) await io.out(jsonLine({ topic, id, partitions }));
  else await io.out(`forgot ${visible(id)} in ${partitions} partitions of ${topic}\n`);
  return EXIT.ok;
}
