/** `ayder produce`: writes messages from arguments, files or standard input. */
import { AyderError, type Client, type RecordHeaders, type Sent } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, UsageError } from "./command.ts";
import { readAll } from "./kv.ts";
import { ndjsonValue, readLines } from "./lines.ts";
import { connect, explain, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { counted } from "./table.ts";

/** Limit of messages in flight; reading pauses when it is reached. */
const WINDOW_MESSAGES = 20_000;
const WINDOW_BYTES = 16 * 1024 * 1024;

type Payload = string | Uint8Array;
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
    ndjson: { type: "boolean", help: "decode input lines that are JSON strings" },
    atomic: { type: "boolean", help: "send one request: all or nothing, contiguous offsets" },
    "idempotency-key": {
      type: "string",
      help: "store the batch once per key and partition; implies --atomic",
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
  const source = messages(values, files, args.flag("ndjson"), io);
  const atomic = args.flag("atomic") || args.text("idempotency-key") !== undefined;
  const report = new Report(topic, args.flag("json"), io);
  if (atomic) await inOne(client, topic, await collected(source), { args, target, report });
  else await oneByOne(client, topic, source, { args, target, report });
  return await report.end();
}

/** @throws UsageError */
function headersOf(texts: readonly string[]): RecordHeaders {
  const headers = new Map<string, string>();
  for (const text of texts) {
    const equals = text.indexOf("=");
    if (equals < 1) throw new UsageError(`--header ${text}: it must be NAME=VALUE`);
    const name = text.slice(0, equals).toLowerCase();
    if (headers.has(name)) throw new UsageError(`--header ${text}: ${name} is given twice`);
    headers.set(name, text.slice(equals + 1));
  }
  return Object.fromEntries(headers);
}

type Job = { readonly args: Arguments; readonly target: Target; readonly report: Report };

async function* messages(
  values: readonly string[],
  files: readonly string[],
  ndjson: boolean,
  io: Io,
): AsyncGenerator<Payload, void, void> {
  for (const value of values) yield ndjson ? ndjsonValue(Buffer.from(value)) : value;
  for (const path of files) yield await fileBytes(path, io);
  if (values.length > 0 || files.length > 0) return;
  if (io.stdinIsTty) io.err("ayder: reading lines from the terminal; Ctrl-D ends\n");
  for await (const line of readLines(io.stdin)) {
    if (line.length > 0) yield ndjson ? ndjsonValue(line) : line;
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

async function collected(source: AsyncIterable<Payload>): Promise<Payload[]> {
  const list: Payload[] = [];
  for await (const message of source) list.push(message);
  if (list.length === 0) throw new UsageError("no message given");
  return list;
}

const modeOf = (args: Arguments) => (args.flag("rocket") ? "rocket" : "sealed");

async function inOne(client: Client, topic: string, batch: readonly Payload[], job: Job) {
  const { args, target, report } = job;
  const idempotencyKey = args.text("idempotency-key");
  const options = {
    ...target,
    mode: modeOf(args),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  } as const;
  const [first] = batch;
  if (first !== undefined && batch.length === 1) {
    const { offset, partition, durable, duplicate } = await client.produce(topic, first, options);
    await report.stored({ offset, partition, durable: durable === true }, duplicate === true);
    return;
  }
  const produced = await client.produceBatch(topic, batch, options);
  const { partition, firstOffset, durable = false, duplicate = false } = produced;
  for (let i = 0; i < produced.count; i++) {
    await report.stored({ offset: firstOffset + i, partition, durable }, duplicate);
  }
}

async function oneByOne(client: Client, topic: string, source: AsyncIterable<Payload>, job: Job) {
  const { args, target, report } = job;
  const producer = client.producer(topic, { mode: modeOf(args) });
  let bytes = 0;
  let count = 0;
  let settled = Promise.resolve();
  for await (const message of source) {
    if (report.hasFailed) break;
    const sending = producer.send(message, target);
    settled = settled.then(() => report.settle(sending));
    // Both are awaited below; until then their rejection must not count as unhandled.
    sending.catch(() => undefined);
    settled.catch(() => undefined);
    bytes += message.length;
    if (++count < WINDOW_MESSAGES && bytes < WINDOW_BYTES) continue;
    await settled;
    [count, bytes] = [0, 0];
  }
  await settled;
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
