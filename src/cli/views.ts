/** `ayder views`: lists and watches continuous queries, creates and deletes them. */
import { segment } from "../client/url.ts";
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { aggregatesText, answerOf, parsedQuery, queryText } from "./query.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { counted, table } from "./table.ts";
import { durationOf } from "./times.ts";
import { visible } from "./visible.ts";
import { watch } from "./watch.ts";

const WATCH_DEFAULT = "2s";

export const VIEWS: Command = {
  name: "views",
  summary: "list, show, create and delete continuous queries",
  actions: [
    { name: "list", operands: "", summary: "list views with their lag (default)", run: list },
    { name: "show", operands: "<view>", summary: "show the aggregates of a view", run: show },
    {
      name: "put",
      operands: "<view> [json|file]",
      summary: "create a view, or replace its query",
      run: put,
    },
    {
      name: "delete",
      operands: "<view>",
      summary: "delete a view; the messages are retained",
      run: remove,
    },
  ],
  options: {
    ...SERVER_OPTIONS,
    watch: {
      type: "boolean",
      short: "w",
      only: ["list", "show"],
      help: "redraw the table until Ctrl-C; in a pipe, print it when it changes",
    },
    every: {
      type: "string",
      value: "TIME",
      only: ["list", "show"],
      help: "time between two looks with --watch (default: 2s)",
    },
  },
  notes: [
    "The query is JSON: an argument, a file, or standard input. It has aggregates, as for",
    "`ayder query`; without `partition` it covers all partitions of the topic.",
    'Example: ayder views put revenue \'{"source":{"topic":"sales"},"aggregate":',
    '  {"group_by":["region"],"measures":[{"op":"sum","field":"amount"}]}}\'',
  ],
};

const pathOf = (view: string): string => `/broker/views/${segment(view)}`;

async function list(args: Arguments, io: Io): Promise<number> {
  const client = connect(args, io);
  const text = async (signal?: AbortSignal): Promise<string> => {
    const views = await client.views.list({ signal });
    if (args.flag("json")) return jsonLine({ views });
    const rows = views.map(({ view, topic, partition, lag }) => [
      view,
      topic,
      partition ?? "all",
      lag,
    ]);
    return table(["VIEW", "TOPIC", "PARTITION", "LAG"], rows);
  };
  return await printOrWatch("views", text, args, io);
}

/** The text of the answer is used, so that integers keep every digit. */
async function show(args: Arguments, io: Io): Promise<number> {
  const client = connect(args, io);
  const view = args.operand(0);
  const path = pathOf(view);
  const text = async (): Promise<string> => {
    const body = await client.request({ method: "GET", path, signal: io.interrupted });
    const answer = answerOf(body, client.url, "aggregates");
    if (args.flag("json")) return `${body}\n`;
    return aggregatesText(answer) || `${counted(0, "group")}\n`;
  };
  return await printOrWatch(`view ${visible(view)}`, text, args, io);
}

async function printOrWatch(
  what: string,
  text: (signal?: AbortSignal) => Promise<string>,
  args: Arguments,
  io: Io,
): Promise<number> {
  const every = args.text("every");
  if (!args.flag("watch")) {
    if (every !== undefined) throw new UsageError("--every needs --watch");
    await io.out(await text());
    return EXIT.ok;
  }
  const given = every ?? WATCH_DEFAULT;
  const title = `${what}, every ${given}; Ctrl-C ends`;
  const between = args.flag("json") ? "" : "\n";
  const everyMs = durationOf("--every", given);
  await watch({ everyMs, title, between, text: () => text(io.interrupted) }, io);
  return EXIT.ok;
}

async function put(args: Arguments, io: Io): Promise<number> {
  const view = args.operand(0);
  const body = await queryText(args.operands[1], io);
  parsedQuery(body);
  const client = connect(args, io);
  const request = { method: "PUT", path: pathOf(view), body, repeatable: true } as const;
  const text = await client.request({ ...request, signal: io.interrupted });
  const { created } = JSON.parse(text) as { created?: boolean };
  const done = created === true ? "created" : "unchanged";
  await io.out(args.flag("json") ? `${text}\n` : `${visible(view)} ${done}\n`);
  return EXIT.ok;
}

async function remove(args: Arguments, io: Io): Promise<number> {
  const view = args.operand(0);
  await connect(args, io).views.delete(view);
  await io.out(args.flag("json") ? jsonLine({ view, deleted: true }) : `deleted ${view}\n`);
  return EXIT.ok;
}
