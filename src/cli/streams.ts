/** `ayder streams`: durable streams at /v1/stream. */
import type { DurableChunk } from "../client/durable.ts";
import { JsonReader } from "../lib/json.ts";
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { readAll } from "./kv.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { bytesText, durationText, table } from "./table.ts";
import { durationOf } from "./times.ts";
import { visible } from "./visible.ts";

const PAGE = 1_000;

export const STREAMS: Command = {
  name: "streams",
  summary: "list, create, fork, read, append to, close and delete durable streams",
  actions: [
    { name: "list", operands: "[prefix]", summary: "list streams by path", run: list },
    {
      name: "show",
      operands: "<stream>",
      summary: "show a stream with its fork and its producers",
      run: show,
    },
    { name: "create", operands: "<stream>", summary: "create a stream", run: create },
    {
      name: "append",
      operands: "<stream> [body]",
      summary: "append a body (default: standard input)",
      run: append,
    },
    { name: "read", operands: "<stream>", summary: "print a stream; JSON one per line", run: read },
    {
      name: "follow",
      operands: "<stream>",
      summary: "as read --follow",
      run: (args, io) => read(args, io, true),
    },
    {
      name: "fork",
      operands: "<source-stream> <fork>",
      summary: "create a stream that begins with the records of another one",
      run: fork,
    },
    {
      name: "close",
      operands: "<stream>",
      summary: "end a stream: nothing can be appended",
      run: close,
    },
    { name: "delete", operands: "<stream>", summary: "delete a stream", run: remove },
  ],
  options: {
    ...SERVER_OPTIONS,
    type: {
      type: "string",
      short: "t",
      value: "TYPE",
      only: ["create", "append"],
      help: "content type, such as application/json (default: application/octet-stream, or as the stream)",
    },
    ttl: {
      type: "string",
      value: "TIME",
      only: ["create", "fork"],
      help: "delete it when it was not used for 30s, 5m, 2h, 7d (default: never)",
    },
    from: {
      type: "string",
      value: "OFFSET",
      only: ["read", "follow"],
      help: "an offset that the server gave, or now (default: the beginning)",
    },
    at: {
      type: "string",
      value: "OFFSET",
      only: ["fork"],
      help: "an offset of the source that the server gave (default: its end)",
    },
    follow: {
      type: "boolean",
      short: "f",
      only: ["read"],
      help: "wait for more, until the stream is closed or Ctrl-C",
    },
    limit: {
      type: "string",
      short: "n",
      value: "N",
      only: ["list"],
      help: "print at most this many",
    },
  },
  notes: ["Example: ayder streams create chats/1 -t application/json --ttl 7d"],
};

async function list(args: Arguments, io: Io): Promise<number> {
  const [prefix] = args.operands;
  const limit = args.integer("limit", 1) ?? Number.POSITIVE_INFINITY;
  const { durable } = connect(args, io);
  const streams = [];
  let after: string | undefined;
  do {
    const page = await durable.list({
      prefix,
      after,
      limit: Math.min(PAGE, limit - streams.length),
    });
    streams.push(...page.streams);
    after = page.next ?? undefined;
  } while (after !== undefined && streams.length < limit);
  if (args.flag("json")) {
    await io.out(jsonLine({ streams }));
    return EXIT.ok;
  }
  const rows = streams.map((each) => [
    visible(each.path),
    visible(each.contentType),
    each.records,
    bytesText(each.bytes),
    stateOf(each),
    each.ttlSeconds === null ? null : durationText(each.ttlSeconds * 1000),
  ]);
  await io.out(table(["STREAM", "TYPE", "RECORDS", "SIZE", "STATE", "TTL"], rows));
  return EXIT.ok;
}

async function show(args: Arguments, io: Io): Promise<number> {
  const details = await connect(args, io).durable.stream(args.operand(0)).describe();
  if (args.flag("json")) {
    await io.out(jsonLine(details));
    return EXIT.ok;
  }
  const { producers, producersTotal, expiresAtMs, ttlSeconds } = details;
  const facts: [string, string | number | null][] = [
    ["stream", visible(details.path)],
    ["type", visible(details.contentType)],
    ["state", stateOf(details)],
    ["records", details.records],
    ["size", bytesText(details.bytes)],
    ["end", details.nextOffset],
    ["ttl", ttlSeconds === null ? null : durationText(ttlSeconds * 1000)],
    ["expires", expiresAtMs === null ? null : new Date(expiresAtMs).toISOString()],
    ["forked from", details.forkedFrom === null ? null : visible(details.forkedFrom)],
    ["fork offset", details.forkOffset],
    ["forks", details.forks === 0 ? null : details.forks],
    ["last seq", details.lastSeq === null ? null : visible(details.lastSeq)],
    ["producers", producersTotal],
  ];
  const shown = facts.filter(([, value]) => value !== null);
  await io.out(shown.map(([name, value]) => `${name.padEnd(12)} ${value}\n`).join(""));
  if (producers.length === 0) return EXIT.ok;
  const rows = producers.map(({ producerId, epoch, seq, lastWriteMs }) => [
    visible(producerId),
    epoch,
    seq,
    new Date(lastWriteMs).toISOString(),
  ]);
  await io.out(`\n${table(["PRODUCER", "EPOCH", "SEQ", "LAST WRITE"], rows)}`);
  return EXIT.ok;
}

const stateOf = ({ deleted, closed }: { deleted: boolean; closed: boolean }): string =>
  deleted ? "deleted" : closed ? "closed" : "open";

async function fork(args: Arguments, io: Io): Promise<number> {
  const [source = "", path = ""] = args.operands;
  const ttlSeconds = ttlOf(args);
  const created = await connect(args, io)
    .durable.stream(path)
    .forkFrom(source, { offset: args.text("at"), ttlSeconds });
  const text = `${visible(path)} ${created ? "created" : "exists"}\n`;
  await io.out(args.flag("json") ? jsonLine({ path, created }) : text);
  return EXIT.ok;
}

function ttlOf(args: Arguments): number | undefined {
  const ttl = args.text("ttl");
  return ttl === undefined ? undefined : Math.ceil(durationOf("--ttl", ttl) / 1000);
}

async function create(args: Arguments, io: Io): Promise<number> {
  const path = args.operand(0);
  const ttlSeconds = ttlOf(args);
  const stream = connect(args, io).durable.stream(path);
  const created = await stream.create({ contentType: args.text("type"), ttlSeconds });
  const text = `${visible(path)} ${created ? "created" : "exists"}\n`;
  await io.out(args.flag("json") ? jsonLine({ path, created }) : text);
  return EXIT.ok;
}

async function append(args: Arguments, io: Io): Promise<number> {
  const [path = "", given] = args.operands;
  const stream = connect(args, io).durable.stream(path);
  const contentType = args.text("type") ?? (await stream.read({ offset: "now" })).contentType;
  const nextOffset = await stream.append(given ?? (await readAll(io.stdin)), { contentType });
  await io.out(args.flag("json") ? jsonLine({ path, nextOffset }) : `end ${nextOffset}\n`);
  return EXIT.ok;
}

async function read(args: Arguments, io: Io, follow = args.flag("follow")): Promise<number> {
  const stream = connect(args, io).durable.stream(args.operand(0));
  let nextOffset = args.text("from") ?? "-1";
  try {
    for await (const chunk of stream.chunks({
      offset: nextOffset,
      signal: io.interrupted,
      follow,
    })) {
      nextOffset = chunk.nextOffset;
      if (args.flag("json")) await io.out(jsonLine(fieldsOf(chunk)));
      else await print(chunk, io);
    }
  } catch (error) {
    if (!io.interrupted.aborted) throw error;
    io.err(`continue with --from ${nextOffset}\n`);
    return EXIT.interrupted;
  }
  return EXIT.ok;
}

const fieldsOf = ({ text, contentType, nextOffset, upToDate, closed }: DurableChunk) => ({
  contentType,
  text,
  nextOffset,
  upToDate,
  closed,
});

async function print({ bytes, text, contentType }: DurableChunk, io: Io): Promise<void> {
  if (/^application\/json\b/i.test(contentType)) {
    const lines = elementsOf(text).map((each) => `${io.isTty ? visible(each) : each}\n`);
    await io.out(io.isTty ? lines.join("") : Buffer.from(lines.join("")));
  } else await io.out(io.isTty ? visible(text) : bytes);
}

/** The elements of a JSON array as they are written, so that no number is rounded. */
function elementsOf(text: string): readonly string[] {
  const reader = new Elements(text, 0);
  const elements: string[] = [];
  reader.eachItem(() => elements.push(reader.source()));
  return elements;
}

class Elements extends JsonReader<never> {
  protected wrong(why: string, at: number): Error {
    return new SyntaxError(`The answer is not JSON: ${why}, at character ${at}`);
  }
  protected numberOf(): never {
    throw new SyntaxError("numbers are not read");
  }
}

async function close(args: Arguments, io: Io): Promise<number> {
  const path = args.operand(0);
  const nextOffset = await connect(args, io).durable.stream(path).close();
  const text = `${visible(path)} is closed at ${nextOffset}\n`;
  await io.out(args.flag("json") ? jsonLine({ path, nextOffset }) : text);
  return EXIT.ok;
}

async function remove(args: Arguments, io: Io): Promise<number> {
  const path = args.operand(0);
  await connect(args, io).durable.stream(path).delete();
  await io.out(args.flag("json") ? jsonLine({ path }) : `deleted ${visible(path)}\n`);
  return EXIT.ok;
}
