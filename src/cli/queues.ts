/** `ayder queues`: lists, describes, defines, purges and deletes queues; moves dead letters back. */
import type { Queue, QueueDefinition } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { table } from "./table.ts";
import { durationIn, durationsIn } from "./times.ts";

export const QUEUES: Command = {
  name: "queues",
  summary: "list, describe, define and delete queues; move dead letters back",
  actions: [
    { name: "list", operands: "", summary: "list the queues (default)", run: list },
    { name: "describe", operands: "<queue>", summary: "show one queue", run: describe },
    {
      name: "define",
      operands: "<queue> <topic>",
      summary: "create a queue, or change its definition",
      run: define,
    },
    { name: "redrive", operands: "<queue>", summary: "move dead letters back", run: redrive },
    { name: "purge", operands: "<queue>", summary: "finish all present messages", run: purge },
    {
      name: "delete",
      operands: "<queue>",
      summary: "delete a queue; its topic stays",
      run: remove,
    },
  ],
  options: {
    ...SERVER_OPTIONS,
    visibility: {
      type: "string",
      value: "TIME",
      only: ["define"],
      help: "length of a lease, such as 30s (default)",
    },
    "max-deliveries": {
      type: "string",
      value: "N",
      only: ["define"],
      help: "attempts before a message is put aside (default: 5)",
    },
    backoff: {
      type: "string",
      value: "TIMES",
      only: ["define"],
      help: "waits after failures (default: 1s,10s,1m)",
    },
    "dead-letter": {
      type: "string",
      value: "TOPIC",
      only: ["define"],
      help: "topic of messages that are put aside (default: QUEUE.dead); none: drop them",
    },
    order: {
      type: "string",
      value: "ORDER",
      only: ["define"],
      help: "none (default), or key: one message of a key at a time",
    },
    "max-in-flight": {
      type: "string",
      value: "N",
      only: ["define"],
      help: "leases at a time (default: 1000)",
    },
    from: {
      type: "string",
      value: "START",
      only: ["define"],
      help: "earliest (default), or latest: only messages from now on",
    },
    max: {
      type: "string",
      value: "N",
      only: ["redrive"],
      help: "at most this many (default: all)",
    },
    "per-second": {
      type: "string",
      value: "N",
      only: ["redrive"],
      help: "this many now, and as many each second in the background",
    },
    stop: {
      type: "boolean",
      only: ["redrive"],
      help: "end what --per-second began",
    },
    yes: {
      type: "boolean",
      only: ["purge", "delete"],
      help: "required, because it cannot be undone",
    },
  },
};

async function list(args: Arguments, io: Io): Promise<number> {
  const queues = await connect(args, io).listQueues();
  if (args.flag("json")) await io.out(jsonLine({ queues }));
  else {
    const head = ["QUEUE", "TOPIC", "READY", "IN FLIGHT", "DELAYED", "DEAD", "ACKED", "OLDEST"];
    const rows = queues.map((each) => [
      each.queue,
      each.topic,
      each.ready,
      each.inFlight,
      each.delayed,
      each.dead,
      each.acked,
      ageOf(each.oldestAgeMs),
    ]);
    await io.out(table(head, rows));
  }
  return EXIT.ok;
}

const ageOf = (ms: number): string => (ms === 0 ? "-" : `${Math.ceil(ms / 1000)} s`);

async function describe(args: Arguments, io: Io): Promise<number> {
  const queue = await connect(args, io).queue(args.operand(0)).describe();
  if (args.flag("json")) {
    await io.out(jsonLine(queue));
    return EXIT.ok;
  }
  const { partitions, deadLetters, backoffMs, ...others } = queue;
  const rows = Object.entries(others).map(([name, value]) => [
    name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`),
    String(value),
  ]);
  rows.push(["backoff ms", backoffMs.join(", ")]);
  await io.out(table(["FIELD", "VALUE"], rows));
  const cells = partitions.map(({ partition, lowOffset, endOffset, unfinished }) => [
    partition,
    lowOffset,
    endOffset,
    unfinished,
  ]);
  await io.out(`\n${table(["PARTITION", "LOW", "END", "UNFINISHED"], cells)}`);
  return EXIT.ok;
}

async function define(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  const created = await connect(args, io).queue(name).define(definitionOf(args));
  if (args.flag("json")) await io.out(jsonLine({ queue: name, created }));
  else await io.out(`${created ? "created" : "defined"} ${name}\n`);
  return EXIT.ok;
}

/** @throws UsageError */
function definitionOf(args: Arguments): QueueDefinition {
  const dead = args.text("dead-letter");
  return {
    topic: args.operand(1),
    visibilityMs: durationIn(args, "visibility"),
    maxDeliveries: args.integer("max-deliveries"),
    backoffMs: durationsIn(args, "backoff"),
    deadLetter: dead === "none" ? null : dead,
    order: args.choice("order", ["none", "key"]),
    maxInFlight: args.integer("max-in-flight"),
    from: args.choice("from", ["earliest", "latest"]),
  };
}

async function redrive(args: Arguments, io: Io): Promise<number> {
  const options = { max: args.integer("max", 1), perSecond: args.integer("per-second", 1) };
  const queue = connect(args, io).queue(args.operand(0));
  if (args.flag("stop")) return await stopRedrive(args, io, queue);
  const { moved, remaining } = await queue.redrive(options);
  if (args.flag("json")) await io.out(jsonLine({ moved, remaining }));
  else await io.out(`moved ${moved} dead letters back, ${remaining} are left\n`);
  return EXIT.ok;
}

async function stopRedrive(args: Arguments, io: Io, queue: Queue): Promise<number> {
  if (args.text("max") !== undefined || args.text("per-second") !== undefined) {
    throw new UsageError("--stop ends a redrive: leave out --max and --per-second");
  }
  const stopped = await queue.stopRedrive();
  if (args.flag("json")) await io.out(jsonLine({ stopped }));
  else await io.out(stopped ? "stopped\n" : "no redrive with a rate was going on\n");
  return EXIT.ok;
}

async function purge(args: Arguments, io: Io): Promise<number> {
  requireYes(args, "purge");
  const purged = await connect(args, io).queue(args.operand(0)).purge();
  if (args.flag("json")) await io.out(jsonLine({ queue: args.operand(0), purged }));
  else await io.out(`finished ${purged} messages of ${args.operand(0)}\n`);
  return EXIT.ok;
}

async function remove(args: Arguments, io: Io): Promise<number> {
  requireYes(args, "delete");
  const name = args.operand(0);
  await connect(args, io).queue(name).delete();
  if (args.flag("json")) await io.out(jsonLine({ queue: name, deleted: true }));
  else await io.out(`deleted ${name}\n`);
  return EXIT.ok;
}

function requireYes(args: Arguments, action: string): void {
  if (!args.flag("yes")) throw new UsageError(`queues ${action} cannot be undone: add --yes`);
}
