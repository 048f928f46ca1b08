/** `ayder schedules`: lists, shows, puts and deletes what is produced later. */
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { connect, SERVER_OPTIONS } from "./server.ts";
import { table } from "./table.ts";
import { durationOf, timeOf } from "./times.ts";

export const SCHEDULES: Command = {
  name: "schedules",
  summary: "list, show, put and delete records that are produced later",
  actions: [
    {
      name: "list",
      operands: "[topic]",
      summary: "list schedules and records that wait (default)",
      run: list,
    },
    { name: "show", operands: "<schedule>", summary: "show one of them", run: show },
    {
      name: "put",
      operands: "<schedule> <cron> <topic> <message>",
      summary: "produce a message at each slot of a cron expression",
      run: put,
    },
    {
      name: "once",
      operands: "<topic> <message>",
      summary: "produce a message once, see --in and --at",
      run: once,
    },
    { name: "delete", operands: "<schedule>", summary: "take it back", run: remove },
  ],
  options: {
    ...SERVER_OPTIONS,
    key: { type: "string", short: "k", only: ["put", "once"], help: "key of the message" },
    tz: { type: "string", value: "ZONE", only: ["put"], help: "time zone (default: UTC)" },
    "catch-up": {
      type: "string",
      value: "HOW",
      only: ["put"],
      help: "slots without a leader: none (default), one or all",
    },
    in: { type: "string", value: "TIME", only: ["once"], help: "after this time, such as 15m" },
    at: { type: "string", value: "TIME", only: ["once"], help: "at this time: a timestamp" },
  },
  notes: [
    "Example: ayder schedules put nightly '30 3 * * *' jobs report --tz Europe/Berlin",
    "         ayder schedules once mails 'how was it?' --in 1d",
  ],
};

const timeText = (ms: number | null): string => (ms === null ? "-" : new Date(ms).toISOString());

async function list(args: Arguments, io: Io): Promise<number> {
  const [topic] = args.operands;
  const client = connect(args, io);
  const rows: (readonly (string | number)[])[] = [];
  for (let after: string | null | undefined; after !== null; ) {
    const options = { limit: 1000, ...(topic === undefined ? {} : { topic }) };
    const page = await client.schedules.list(after === undefined ? options : { ...options, after });
    for (const each of page.schedules) {
      if (args.flag("json")) await io.out(`${JSON.stringify(each)}\n`);
      else if ("cron" in each) {
        rows.push([
          each.schedule,
          each.topic,
          `${each.cron} ${each.tz}`,
          timeText(each.next_ms),
          each.runs,
        ]);
      } else rows.push([each.schedule_id, each.topic, "once", timeText(each.deliver_at_ms), 0]);
    }
    after = page.next;
  }
  if (!args.flag("json")) await io.out(table(["SCHEDULE", "TOPIC", "WHEN", "NEXT", "RUNS"], rows));
  return EXIT.ok;
}

async function show(args: Arguments, io: Io): Promise<number> {
  const found = await connect(args, io).schedules.get(args.operand(0));
  const shown = Object.fromEntries(Object.entries(found).filter(([name]) => name !== "ok"));
  if (args.flag("json")) await io.out(`${JSON.stringify(shown)}\n`);
  else {
    const rows = Object.entries(shown).map(([name, value]) => [
      name,
      name.endsWith("_ms") ? timeText(value as number | null) : textOf(value),
    ]);
    await io.out(table(["FIELD", "VALUE"], rows));
  }
  return EXIT.ok;
}

const textOf = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value);

async function put(args: Arguments, io: Io): Promise<number> {
  const [name = "", cron = "", topic = "", value = ""] = args.operands;
  const catchUp = catchUpOf(args.text("catch-up"));
  const definition = { cron, topic, value, tz: args.text("tz"), key: args.text("key"), catchUp };
  const { created, nextMs } = await connect(args, io).schedules.put(name, definition);
  if (args.flag("json")) {
    await io.out(`${JSON.stringify({ schedule: name, created, next_ms: nextMs })}\n`);
  } else await io.out(`${name}: next at ${timeText(nextMs)}\n`);
  return EXIT.ok;
}

/** @throws UsageError */
function catchUpOf(text: string | undefined): "none" | "one" | "all" | undefined {
  if (text === undefined || text === "none" || text === "one" || text === "all") return text;
  throw new UsageError(`--catch-up ${text}: it must be none, one or all`);
}

async function once(args: Arguments, io: Io): Promise<number> {
  const [topic = "", value = ""] = args.operands;
  const [after, at] = [args.text("in"), args.text("at")];
  if ((after === undefined) === (at === undefined)) {
    throw new UsageError("schedules once needs one of --in and --at");
  }
  const when =
    after === undefined
      ? { deliverAtMs: timeOf("--at", at ?? "", Date.now()) }
      : { delayMs: durationOf("--in", after) };
  const { scheduleId, deliverAtMs } = await connect(args, io).schedule(topic, value, when, {
    key: args.text("key"),
  });
  if (args.flag("json")) {
    const line = { schedule_id: scheduleId, deliver_at_ms: deliverAtMs };
    await io.out(`${JSON.stringify(line)}\n`);
  } else await io.out(`${scheduleId}: at ${timeText(deliverAtMs)}\n`);
  return EXIT.ok;
}

async function remove(args: Arguments, io: Io): Promise<number> {
  const name = args.operand(0);
  await connect(args, io).schedules.delete(name);
  if (args.flag("json")) await io.out(`${JSON.stringify({ schedule: name, deleted: true })}\n`);
  else await io.out(`deleted ${name}\n`);
  return EXIT.ok;
}
