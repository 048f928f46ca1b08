/** `ayder views`: lists continuous queries, shows their results, creates and deletes them. */
import { segment } from "../client/url.ts";
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { aggregatesText, answerOf, parsedQuery, queryText } from "./query.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { counted, table } from "./table.ts";

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
  options: SERVER_OPTIONS,
  notes: [
    "The query is JSON: an argument, a file, or standard input. It has aggregates, as for",
    "`ayder query`; without `partition` it covers all partitions of the topic.",
    'Example: ayder views put revenue \'{"source":{"topic":"sales"},"aggregate":',
    '  {"group_by":["region"],"measures":[{"op":"sum","field":"amount"}]}}\'',
  ],
};

const pathOf = (view: string): string => `/broker/views/${segment(view)}`;

async function list(args: Arguments, io: Io): Promise<number> {
  const views = await connect(args, io).views.list();
  if (args.flag("json")) await io.out(jsonLine({ views }));
  else {
    const rows = views.map(({ view, topic, partition, lag }) => [
      view,
      topic,
      partition ?? "all",
      lag,
    ]);
    await io.out(table(["VIEW", "TOPIC", "PARTITION", "LAG"], rows));
  }
  return EXIT.ok;
}

/** The text of the answer is used, so that integers keep every digit. */
async function show(args: Arguments, io: Io): Promise<number> {
  const client = connect(args, io);
  const path = pathOf(args.operand(0));
  const text = await client.request({ method: "GET", path, signal: io.interrupted });
  const answer = answerOf(text, client.url, "aggregates");
  const shown = aggregatesText(answer) || `${counted(0, "group")}\n`;
  await io.out(args.flag("json") ? `${text}\n` : shown);
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
  await io.out(args.flag("json") ? `${text}\n` : `${view} ${done}\n`);
  return EXIT.ok;
}

async function remove(args: Arguments, io: Io): Promise<number> {
  const view = args.operand(0);
  await connect(args, io).views.delete(view);
  await io.out(args.flag("json") ? jsonLine({ view, deleted: true }) : `deleted ${view}\n`);
  return EXIT.ok;
}
