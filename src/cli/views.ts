/** `ayder views`: lists and watches continuous queries, creates and deletes them. */
import type { ViewPut } from "../api/queries.ts";
import { shortText } from "../client/json-text.ts";
import { segment } from "../client/url.ts";
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { aggregatesText, answerOf, parsedQuery, queryText, topicOf } from "./query.ts";
import { hasViewFlag, viewFlags, viewOfFlags } from "./query-flags.ts";
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
      operands: "<view> [topic|json|file]",
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
    ...viewFlags("put"),
  },
  notes: [
    "The query is a topic with options as of `ayder query`, or JSON: an argument, a file, or standard",
    "input. It has aggregates. Without a partition it covers all of them.",
    "Example: ayder views put revenue sales --group-by region --sum amount",
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
  const operand = args.operands[1];
  const flagged = hasViewFlag(args);
  const body = flagged
    ? shortText(await viewOfFlags(topicOf(operand), args, io))
    : await queryText(operand, io);
  parsedQuery(body);
  if (args.flag("print-json")) {
    await io.out(`${body.trim()}\n`);
    return EXIT.ok;
  }
  const client = connect(args, io);
  const request = { method: "PUT", path: pathOf(view), body, repeatable: true } as const;
  const text = await client.request({ ...request, signal: io.interrupted });
  const { created } = JSON.parse(text) as Partial<ViewPut>;
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
