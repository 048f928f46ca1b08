/** `ayder consume`: prints messages to standard output. */
import type { Message, RecordHeaders } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, offsetOr, UsageError } from "./command.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { timeOf } from "./times.ts";
import { visible } from "./visible.ts";

const PAGE_MESSAGES = 1000;

export const CONSUME: Command = {
  name: "consume",
  summary: "print messages; follow a topic as it grows",
  actions: [{ name: "", operands: "<topic>", summary: "", run: consume }],
  options: {
    ...SERVER_OPTIONS,
    partition: {
      type: "string",
      short: "p",
      value: "N",
      help: "read one partition (default: all)",
    },
    follow: { type: "boolean", short: "f", help: "wait for new messages, until Ctrl-C" },
    group: {
      type: "string",
      short: "g",
      value: "NAME",
      help: "start at the committed offsets of this group",
    },
    from: {
      type: "string",
      value: "OFFSET",
      help: "first offset, or earliest, latest, committed (default: committed with a group, else earliest)",
    },
    since: {
      type: "string",
      value: "TIME",
      help: "start at this time: an age such as 10m, 2h or 3d, or a timestamp such as 2026-01-31T08:00Z",
    },
    join: {
      type: "boolean",
      help: "share the partitions with the other processes that join the group; waits for messages",
    },
    member: {
      type: "string",
      value: "NAME",
      help: "name in the group: a restart with the same name keeps its partitions (default: a new name)",
    },
    commit: { type: "boolean", help: "commit printed messages for the group, page by page" },
    limit: { type: "string", short: "n", value: "N", help: "stop after this many messages" },
    keys: { type: "boolean", short: "k", help: "print the key and a tab before each message" },
    headers: {
      type: "boolean",
      short: "H",
      help: "print the headers as a JSON object and a tab before each message",
    },
    offsets: { type: "boolean", short: "o", help: "print partition/offset and a tab first" },
    raw: { type: "boolean", help: "write the bytes of the messages without line feeds" },
  },
  notes: [
    "Prints one message per line. On a terminal, control characters are escaped; in a pipe they are not.",
    "Without --follow, each partition is read up to the end that it had at the start.",
    "With --json: one object per line with the fields of the HTTP API; value_b64 if it is not UTF-8.",
    "Ctrl-C, SIGTERM and a closed pipe end with code 0; with --commit, printed messages are committed.",
    "With --join, Ctrl-C leaves the group, and the others get the partitions at once.",
    "With --member, they stay for the lease (30 s).",
    "Example: ayder consume orders --group billing --commit --follow | ./bill",
    "Example, in several terminals: ayder consume orders --group billing --join --commit",
  ],
};

async function consume(args: Arguments, io: Io): Promise<number> {
  const group = args.text("group");
  if (args.flag("commit") && group === undefined) throw new UsageError("--commit needs --group");
  const left = args.integer("limit", 1) ?? Number.POSITIVE_INFINITY;
  const client = connect(args, io);
  const topic = args.operand(0);
  const print = printer(args, io);
  if (args.flag("join")) return await share(args, io, topic, left, print);
  const consumer = client.consume(topic, {
    partition: args.integer("partition"),
    from: startOf(args),
    follow: args.flag("follow"),
    group,
    limit: Math.min(left, PAGE_MESSAGES),
    signal: io.interrupted,
  });
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

type Print = ReturnType<typeof printer>;

/** Prints messages as a member of the group. */
async function share(
  args: Arguments,
  io: Io,
  topic: string,
  left: number,
  print: Print,
): Promise<number> {
  const group = args.text("group");
  if (group === undefined) throw new UsageError("--join needs --group");
  for (const name of ["partition", "from", "since"]) {
    if (args.text(name) !== undefined)
      throw new UsageError(`--join and --${name} exclude each other`);
  }
  const isCommitted = args.flag("commit");
  const tell = (what: string) => (partitions: readonly { readonly partition: number }[]) => {
    const numbers = partitions.map(({ partition }) => partition).join(", ");
    if (io.isTty) io.err(`ayder: ${what} ${topic}/${numbers}\n`);
  };
  const member = connect(args, io).group(group, {
    topics: [topic],
    member: args.text("member"),
    limit: Math.min(left, PAGE_MESSAGES),
    autoCommit: isCommitted,
    releaseUncommitted: !isCommitted,
    signal: io.interrupted,
    onAssigned: tell("got"),
    onRevoked: tell("gave up"),
  });
  let rest = left;
  for await (const message of member) {
    await io.out(print([message]));
    if (--rest > 0) continue;
    if (isCommitted) await member.commit();
    break;
  }
  return EXIT.ok;
}

/** @throws UsageError */
function startOf(args: Arguments) {
  const since = args.text("since");
  if (since === undefined) return fromOf(args.text("from"));
  if (args.text("from") !== undefined)
    throw new UsageError("--since and --from exclude each other");
  return { timeMs: timeOf("--since", since, Date.now()) };
}

/** @throws UsageError */
function fromOf(text: string | undefined) {
  if (text === undefined) return undefined;
  if (text === "earliest" || text === "latest" || text === "committed") return text;
  return offsetOr("--from", text, ["earliest", "latest", "committed"]);
}

function printer(args: Arguments, io: Io): (messages: readonly Message[]) => Uint8Array | string {
  const keys = args.flag("keys");
  const headers = args.flag("headers");
  const offsets = args.flag("offsets");
  if (args.flag("json")) return (messages) => messages.map(messageJson).join("");
  if (args.flag("raw")) return (messages) => Buffer.concat(messages.map(({ bytes }) => bytes));
  const head = (message: Message): string =>
    (offsets ? `${message.partition}/${message.offset}\t` : "") +
    (keys ? `${keyText(message.key, io)}\t` : "") +
    (headers ? `${headersText(message.headers, io)}\t` : "");
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

function headersText(headers: RecordHeaders, io: Io): string {
  const text = JSON.stringify(headers);
  return io.isTty ? visible(text) : text;
}

function messageJson(message: Message): string {
  const { offset, partition, timestampMs, key, bytes, text, headers } = message;
  // Text that does not encode to the same bytes was not UTF-8.
  const isText = Buffer.from(text).equals(bytes);
  return jsonLine({
    offset,
    partition,
    timestampMs,
    ...(key === null ? {} : { key }),
    ...(isText ? { value: text } : { valueB64: Buffer.from(bytes).toString("base64") }),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
  });
}
