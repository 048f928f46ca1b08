/** `ayder consume`: messages to standard output. */
import type { Message } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, integerOf, UsageError } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { visible } from "./visible.ts";

const PAGE_MESSAGES = 1000;

export const CONSUME: Command = {
  name: "consume",
  summary: "print messages; follow a topic as it grows",
  actions: [{ name: "", operands: "<topic>", summary: "", run: consume }],
  options: {
    ...SERVER_OPTIONS,
    partition: { type: "string", short: "p", value: "N", help: "only this one (all of the topic)" },
    follow: { type: "boolean", short: "f", help: "wait for what comes, until Ctrl-C" },
    group: { type: "string", short: "g", value: "NAME", help: "whose committed offsets count" },
    from: {
      type: "string",
      value: "OFFSET",
      help: "or earliest, latest, committed (committed with a group, else earliest)",
    },
    commit: { type: "boolean", help: "commit for the group what was printed, page by page" },
    limit: { type: "string", short: "n", value: "N", help: "end after this many messages" },
    keys: { type: "boolean", short: "k", help: "the key and a tab before each message" },
    offsets: { type: "boolean", short: "o", help: "partition/offset and a tab before that" },
    raw: { type: "boolean", help: "exactly the bytes, without line feeds between messages" },
  },
  notes: [
    "One message a line. On a terminal control characters are shown escaped, else bytes are bytes.",
    "Without --follow it ends where the partition ended when it was first read.",
    "With --json: one object a line, as the HTTP API has it; value_b64 for what is not UTF-8.",
    "Ctrl-C, SIGTERM and a closed pipe end it with code 0; with --commit what was printed counts.",
    "Example: ayder consume orders --group billing --commit --follow | ./bill",
  ],
};

async function consume(args: Arguments, io: Io): Promise<number> {
  const group = args.text("group");
  if (args.flag("commit") && group === undefined) throw new UsageError("--commit needs --group");
  const left = args.integer("limit", 1) ?? Number.POSITIVE_INFINITY;
  const client = connect(args, io);
  const topic = args.operand(0);
  const consumer = client.consume(topic, {
    partition: args.integer("partition"),
    from: fromOf(args.text("from")),
    follow: args.flag("follow"),
    group,
    limit: Math.min(left, PAGE_MESSAGES),
    signal: io.interrupted,
  });
  const print = printer(args, io);
  let rest = left;
  for await (const page of consumer.pages()) {
    const messages = page.slice(0, rest);
    await io.out(print(messages));
    const last = messages.at(-1);
    if (args.flag("commit") && group !== undefined && last !== undefined) {
      const { partition, offset } = last;
      await client.commit({ topic, group, partition, offset: offset + 1 });
    }
    rest -= messages.length;
    if (rest <= 0) break;
  }
  return EXIT.ok;
}

/** @throws UsageError */
function fromOf(text: string | undefined) {
  if (text === undefined) return undefined;
  if (text === "earliest" || text === "latest" || text === "committed") return text;
  return integerOf("--from", text);
}

function printer(args: Arguments, io: Io): (messages: readonly Message[]) => Uint8Array | string {
  const keys = args.flag("keys");
  const offsets = args.flag("offsets");
  if (args.flag("json")) return (messages) => messages.map(messageJson).join("");
  if (args.flag("raw")) return (messages) => Buffer.concat(messages.map(({ bytes }) => bytes));
  const head = ({ partition, offset, key }: Message): string =>
    (offsets ? `${partition}/${offset}\t` : "") + (keys ? `${keyText(key, io)}\t` : "");
  if (io.isTty) {
    return (messages) =>
      messages.map((message) => `${head(message)}${visible(message.text)}\n`).join("");
  }
  const lineFeed = Buffer.from("\n");
  return (messages) =>
    Buffer.concat(
      messages.flatMap((message) => [Buffer.from(head(message)), message.bytes, lineFeed]),
    );
}

const keyText = (key: string | null, io: Io): string =>
  key === null ? "" : io.isTty ? visible(key) : key;

function messageJson(message: Message): string {
  const { offset, partition, timestampMs, key, bytes, text } = message;
  // Text that does not give the bytes back was not UTF-8.
  const isText = Buffer.from(text).equals(bytes);
  return jsonLine({
    offset,
    partition,
    timestampMs,
    ...(key === null ? {} : { key }),
    ...(isText ? { value: text } : { valueB64: Buffer.from(bytes).toString("base64") }),
  });
}
