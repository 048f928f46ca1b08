/** `ayder produce`: writes messages from arguments, files or standard input. */
import { AyderError, type Client, type RecordHeaders, type Sent } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, pairOf, UsageError } from "./command.ts";
import { readAll } from "./kv.ts";
import { ndjsonValue, readLines } from "./lines.ts";
import { recordLine } from "./record-lines.ts";
import { connect, explain, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { counted } from "./table.ts";

/** Limit of messages in flight; reading pauses when it is reached. */
const WINDOW_MESSAGES = 20_000;
const WINDOW_BYTES = 16 * 1024 * 1024;

type Payload = string | Uint8Array;
type Message = {
  readonly value: Payload;
  readonly key: string | undefined;
  readonly headers: RecordHeaders;
};
type Target = {
  readonly partition: number | undefined;
  readonly key: string | undefined;
  readonly headers: RecordHeaders;
};

export const PRODUCE: Command = {
  name: "produce",
  summary: "write messages from arguments, files or standard input",
  actions: [{ name: "", operands: "<topic> [message...]", summary: "", run: produce }],
  options: {
    ...SERVER_OPTIONS,
    partition: {
      type: "string",
      short: "p",
      value: "N",
      help: "target partition (default: hash of the key, otherwise round robin)",
    },
    key: { type: "string", short: "k", help: "key of every message" },
    header: {
      type: "string",
      short: "H",
      value: "NAME=VALUE",
      multiple: true,
      help: "header of every message",
    },
    file: {
      type: "string",
      short: "f",
      value: "PATH",
      multiple: true,
      help: "send the file as one message; - is standard input",
    },
    records: {
      type: "boolean",
      help: 'lines are records: {"value":…,"key":…,"headers":{…}}, as consume --json prints them',
    },
    ndjson: { type: "boolean", help: "decode input lines that are JSON strings" },
    atomic: { type: "boolean", help: "send one request: all or nothing, contiguous offsets" },
    "idempotency-key": {
      type: "string",
      help: "store the batch once per key and partition; implies --atomic",
    },
    "producer-id": {
      type: "string",
      help: "name of the producer; a new process fences the old one (default: a random name)",
    },
    "producer-epoch": {
      type: "string",
      value: "N",
      help: "epoch that decides between two processes (default: the time of the start)",
    },
    rocket: {
      type: "boolean",
      help: "answer before the fsync: fast, but a crash may lose messages",
    },
  },
  notes: [
    "Standard input is sent while it is read. Without --partition, lines are spread over all partitions.",
    "Requests are repeated for 5 s until each message is known to be stored exactly once. If a message",
    "fails, the rest of the input is not read, and the error says how many lines were stored.",
    "With --json: one line per message, when it is stored.",
    'Examples: ayder produce orders \'{"item":"book"}\' --key customer-7',
    "          tail -F access.log | ayder produce access --partition 0",
    "          ayder consume orders --json | ayder produce copy --records",
  ],
};

async function produce(args: Arguments, io: Io): Promise<number> {
  const [topic = "", ...values] = args.operands;
  const target: Target = {
    partition: args.integer("partition"),
    key: args.text("key"),
    headers: headersOf(args.texts("header")),
  };
  const files = args.texts("file");
  const client = connect(args, io);
  const atomic = args.flag("atomic") || args.text("idempotency-key") !== undefined;
  checkOptions(args, atomic);
  const source = args.flag("records")
    ? records(values, target, io)
    : messages(values, files, args.flag("ndjson"), target, io);
  const report = new Report(topic, args.flag("json"), io);
  if (atomic) await inOne(client, topic, await collected(source), { args, target, report });
  else await oneByOne(client, topic, source, { args, target, report });
  return await report.end();
}

/** @throws UsageError */
function checkOptions(args: Arguments, atomic: boolean): void {
  if (args.flag("records") && (args.flag("ndjson") || args.texts("file").length > 0)) {
    throw new UsageError("--records reads records; it excludes --ndjson and --file");
  }
  const named = args.text("producer-id") !== undefined;
  if (args.text("producer-epoch") !== undefined && !named) {
    throw new UsageError("--producer-epoch needs --producer-id");
  }
  if (named && (atomic || args.flag("rocket"))) {
    throw new UsageError("--producer-id excludes --atomic, --idempotency-key and --rocket");
  }
}

/** @throws UsageError */
function headersOf(texts: readonly string[]): RecordHeaders {
  const headers = new Map<string, string>();
  for (const text of texts) {
    const [given, value] = pairOf("--header", text);
    const name = given.toLowerCase();
    if (headers.has(name)) throw new UsageError(`--header ${text}: ${name} is given twice`);
    headers.set(name, value);
  }
  return Object.fromEntries(headers);
}

type Job = { readonly args: Arguments; readonly target: Target; readonly report: Report };

async function* messages(
  values: readonly string[],
  files: readonly string[],
  ndjson: boolean,
  { key, headers }: Target,
  io: Io,
): AsyncGenerator<Message, void, void> {
  for (const text of values) {
    yield { value: ndjson ? ndjsonValue(Buffer.from(text)) : text, key, headers };
  }
  for (const path of files) yield { value: await fileBytes(path, io), key, headers };
  if (values.length > 0 || files.length > 0) return;
  for await (const { line } of inputLines(io)) {
    yield { value: ndjson ? ndjsonValue(line) : line, key, headers };
  }
}

/** Key and headers of the options are for records without their own. */
async function* records(
  values: readonly string[],
  target: Target,
  io: Io,
): AsyncGenerator<Message, void, void> {
  const read = (line: Uint8Array, what: string): Message => {
    const { value, key = target.key, headers } = recordLine(line, what);
    return { value, key, headers: { ...target.headers, ...headers } };
  };
  for (const [i, text] of values.entries()) yield read(Buffer.from(text), `record ${i + 1}`);
  if (values.length > 0) return;
  for await (const { line, number } of inputLines(io)) yield read(line, `line ${number}`);
}

async function* inputLines(
  io: Io,
): AsyncGenerator<{ readonly line: Uint8Array; readonly number: number }, void, void> {
  if (io.stdinIsTty) io.err("ayder: reading lines from the terminal; Ctrl-D ends\n");
  let number = 0;
  for await (const line of readLines(io.stdin)) {
    number++;
    if (line.length > 0) yield { line, number };
  }
}

/** @throws UsageError */
async function fileBytes(path: string, io: Io): Promise<Uint8Array> {
  if (path === "-") return await readAll(io.stdin);
  try {
    return await io.readFile(path);
  } catch (error) {
    throw new UsageError(`--file ${path}: ${error instanceof Error ? error.message : error}`);
  }
}

async function collected(source: AsyncIterable<Message>): Promise<Message[]> {
  const list: Message[] = [];
  for await (const message of source) list.push(message);
  if (list.length === 0) throw new UsageError("no message given");
  return list;
}

const modeOf = (args: Arguments) => (args.flag("rocket") ? "rocket" : "sealed");

async function inOne(client: Client, topic: string, batch: readonly Message[], job: Job) {
  const { args, target, report } = job;
  const idempotencyKey = args.text("idempotency-key");
  const { partition: wanted, key, headers } = target;
  const options = {
    partition: wanted,
    mode: modeOf(args),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  } as const;
  const [first] = batch;
  if (first !== undefined && batch.length === 1) {
    const produced = await client.produce(topic, first.value, {
      ...options,
      ...withoutValue(first),
    });
    const { offset, partition, durable, duplicate } = produced;
    await report.stored({ offset, partition, durable: durable === true }, duplicate === true);
    return;
  }
  const produced = args.flag("records")
    ? await client.produceRecords(topic, batch, options)
    : await client.produceBatch(topic, batch.map(payloadOf), { ...options, key, headers });
  const { partition, firstOffset, durable = false, duplicate = false } = produced;
  for (let i = 0; i < produced.count; i++) {
    await report.stored({ offset: firstOffset + i, partition, durable }, duplicate);
  }
}

const payloadOf = ({ value }: Message): Payload => value;
const withoutValue = ({ key, headers }: Message) => ({ key, headers });

async function oneByOne(client: Client, topic: string, source: AsyncIterable<Message>, job: Job) {
  const { args, target, report } = job;
  const { partition } = target;
  const producer = client.producer(topic, {
    mode: modeOf(args),
    id: args.text("producer-id"),
    epoch: args.integer("producer-epoch"),
  });
  let bytes = 0;
  let count = 0;
  let settled = Promise.resolve();
  const send = (message: Message) => {
    const sending = producer.send(message.value, { partition, ...withoutValue(message) });
    settled = settled.then(() => report.settle(sending));
    // Both are awaited below; until then their rejection must not count as unhandled.
    sending.catch(() => undefined);
    settled.catch(() => undefined);
    bytes += message.value.length;
    count++;
  };
  try {
    for await (const message of source) {
      if (report.hasFailed) break;
      send(message);
      if (count < WINDOW_MESSAGES && bytes < WINDOW_BYTES) continue;
      await settled;
      [count, bytes] = [0, 0];
    }
  } finally {
    // Also after a malformed line: the records before it are stored.
    await settled;
  }
}

/** Collects where messages were stored, and the first error. */
class Report {
  readonly #topic: string;
  readonly #json: boolean;
  readonly #io: Io;
  readonly #ranges = new Map<number, { count: number; first: number; last: number }>();
  #duplicates = 0;
  #failure: AyderError | null = null;
  #failed = 0;

  constructor(topic: string, json: boolean, io: Io) {
    this.#topic = topic;
    this.#json = json;
    this.#io = io;
  }

  async stored({ partition, offset, durable }: Sent, duplicate: boolean): Promise<void> {
    const range = this.#ranges.get(partition) ?? { count: 0, first: offset, last: offset };
    this.#ranges.set(partition, { ...range, count: range.count + 1, last: offset });
    if (duplicate) this.#duplicates++;
    if (!this.#json) return;
    const line = { topic: this.#topic, partition, offset, durable, duplicate };
    await this.#io.out(jsonLine(line));
  }

  get hasFailed(): boolean {
    return this.#failure !== null;
  }

  async settle(sending: Promise<Sent>): Promise<void> {
    let sent: Sent;
    try {
      sent = await sending;
    } catch (error) {
      if (!(error instanceof AyderError)) throw error;
      this.#failed++;
      this.#failure ??= error;
      return;
    }
    await this.stored(sent, false);
  }

  /** @returns the exit code. */
  async end(): Promise<number> {
    let total = 0;
    for (const [partition, { count, first, last }] of [...this.#ranges].sort(([a], [b]) => a - b)) {
      total += count;
      if (this.#json) continue;
      const offsets = first === last ? `offset ${first}` : `offsets ${first} to ${last}`;
      await this.#io.out(
        `${counted(count, "message")} in ${this.#topic}/${partition}, ${offsets}\n`,
      );
    }
    if (this.#duplicates > 0) this.#io.err("ayder: already stored with this idempotency key\n");
    if (this.#failure === null) return EXIT.ok;
    this.#io.err(`ayder: ${total} stored, ${this.#failed} failed; first error:\n`);
    return explain(this.#failure, this.#io, this.#json);
  }
}
