/** `ayder retention`: lists the limits of age and size, and sets them. */
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { table } from "./table.ts";

const INHERIT = "inherit";

export const RETENTION: Command = {
  name: "retention",
  summary: "list and set limits of age and size",
  actions: [
    { name: "list", operands: "", summary: "list all policies (default)", run: list },
    { name: "set", operands: "<topic>", summary: "set a policy, see the options", run: set },
  ],
  options: {
    ...SERVER_OPTIONS,
    partition: {
      type: "string",
      short: "p",
      value: "N",
      only: ["set"],
      help: "one partition (default: the topic)",
    },
    "ttl-ms": {
      type: "string",
      value: "MS",
      only: ["set"],
      help: "maximum age of messages; 0 disables it, `inherit` removes it",
    },
    "max-bytes": {
      type: "string",
      value: "BYTES",
      only: ["set"],
      help: "maximum size of keys and values; 0 disables it, `inherit` removes it",
    },
  },
  notes: [
    "The topic '*' covers all topics, including topics created later. The most specific policy",
    "applies: partition, topic, then '*'. A limit that is removed inherits from the next of them.",
    "Examples: ayder retention set orders --ttl-ms 86400000",
    "          ayder retention set orders -p 3 --ttl-ms inherit --max-bytes inherit",
  ],
};

async function list(args: Arguments, io: Io): Promise<number> {
  const policies = await connect(args, io).retention.list();
  if (args.flag("json")) await io.out(jsonLine({ policies }));
  else {
    const rows = policies.map(({ topic, partition, ttlMs, maxBytes }) => [
      topic,
      partition ?? "all",
      ttlMs ?? "not set",
      maxBytes ?? "not set",
    ]);
    await io.out(table(["TOPIC", "PARTITION", "TTL_MS", "MAX_BYTES"], rows));
  }
  return EXIT.ok;
}

async function set(args: Arguments, io: Io): Promise<number> {
  const topic = args.operand(0);
  const partition = args.integer("partition");
  const ttlMs = limitIn(args, "ttl-ms");
  const maxBytes = limitIn(args, "max-bytes");
  if (ttlMs === undefined && maxBytes === undefined) {
    throw new UsageError("nothing to set: give --ttl-ms, --max-bytes or both");
  }
  const policy = {
    topic,
    ...(partition === undefined ? {} : { partition }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  };
  await connect(args, io).retention.set(policy);
  await io.out(args.flag("json") ? jsonLine(policy) : `set the retention of ${topic}\n`);
  return EXIT.ok;
}

/** @returns null to remove the limit. */
function limitIn(args: Arguments, option: string): number | null | undefined {
  return args.text(option) === INHERIT ? null : args.integer(option);
}
