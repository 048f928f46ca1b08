/** `ayder bench`: load for a few seconds, and a result that can be pasted. */
import { AyderError, type Client } from "../client/index.ts";
import { VERSION } from "../config/version.ts";
import { Latencies } from "./bench-latencies.ts";
import { BENCH_MODES, type Load, type LoadOptions } from "./bench-loads.ts";
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { connect, explain, jsonLine, SERVER_OPTIONS, serverUrls } from "./server.ts";
import { table } from "./table.ts";
import { visible } from "./visible.ts";

const SECONDS_MAX = 600;
/** More would wait inside of the client: it has no more connections. */
const IN_FLIGHT_MAX = 256;
const SIZE_MAX = 1024 * 1024;
const BATCH_MAX = 10_000;
const BAR_INTERVAL_MS = 100;
const BAR_WIDTH = 30;
/** A server that only says no is not loaded any further. */
const ERRORS_MAX = 1000;

export const BENCH: Command = {
  name: "bench",
  summary: "load a server for a few seconds: rates and percentiles",
  actions: Object.entries(BENCH_MODES).map(([name, { summary, open }]) => ({
    name,
    operands: "",
    summary,
    run: (args: Arguments, io: Io) => bench(name, open, args, io),
  })),
  options: {
    ...SERVER_OPTIONS,
    seconds: { type: "string", short: "s", value: "N", help: "how long, at most 600 (5)" },
    "in-flight": {
      type: "string",
      short: "c",
      value: "N",
      help: "requests at a time, at most 256 (64)",
    },
    size: { type: "string", value: "BYTES", help: "of a message or value (64)" },
    batch: {
      type: "string",
      short: "b",
      value: "N",
      help: "messages of a request of batch, consume (100)",
    },
    partitions: { type: "string", short: "p", value: "N", help: "of the topic (8)" },
  },
  notes: [
    "It makes a topic and a namespace of its own, ayder-bench-…, and deletes them at the end, also",
    "after Ctrl-C. Every answer is waited for and errors are counted, not hidden. The load is made by",
    "this process: on the same machine both share its cores.",
    "Whatever else the server does suffers meanwhile: it is asked for as much as it can.",
    "Example: ayder bench produce --seconds 10 --in-flight 64",
  ],
};

type Open = (client: Client, options: LoadOptions) => Promise<Load>;

async function bench(mode: string, open: Open, args: Arguments, io: Io): Promise<number> {
  const seconds = args.integer("seconds", 1, SECONDS_MAX) ?? 5;
  const inFlight = args.integer("in-flight", 1, IN_FLIGHT_MAX) ?? 64;
  const options: LoadOptions = {
    name: `ayder-bench-${crypto.randomUUID().slice(0, 8)}`,
    bytes: args.integer("size", 1, SIZE_MAX) ?? 64,
    batch: args.integer("batch", 1, BATCH_MAX) ?? 100,
    partitions: args.integer("partitions", 1, BATCH_MAX) ?? 8,
  };
  const client = connect(args, io);
  const load = await open(client, options);
  const run = new Run(load, seconds * 1000, io);
  try {
    await run.all(inFlight);
    const url = serverUrls(args, io).join(",");
    const result = run.result({ mode, inFlight, url, ...options });
    await io.out(args.flag("json") ? jsonLine(result) : resultText(result));
  } finally {
    await load
      .close()
      .catch((error) =>
        io.err(`ayder: ${options.name} is left behind: ${visible(String(error))}\n`),
      );
  }
  const { firstError } = run;
  if (firstError === null) return EXIT.ok;
  if (firstError instanceof AyderError) return explain(firstError, io);
  throw firstError;
}

type Setup = LoadOptions & {
  readonly mode: string;
  readonly inFlight: number;
  readonly url: string;
};
type Result = ReturnType<Run["result"]>;

class Run {
  readonly #load: Load;
  readonly #forMs: number;
  readonly #io: Io;
  readonly #latencies = new Latencies();
  #begin = 0;
  #end = 0;
  #messages = 0;
  #errors = 0;
  firstError: Error | null = null;

  constructor(load: Load, forMs: number, io: Io) {
    this.#load = load;
    this.#forMs = forMs;
    this.#io = io;
  }

  async all(inFlight: number): Promise<void> {
    const { interrupted } = this.#io;
    this.#begin = performance.now();
    const until = this.#begin + this.#forMs;
    const goesOn = () =>
      performance.now() < until && !interrupted.aborted && this.#errors < ERRORS_MAX;
    const bar = this.#io.errIsTty ? setInterval(() => this.#draw(), BAR_INTERVAL_MS) : null;
    const worker = async (number: number): Promise<void> => {
      while (goesOn()) await this.#one(number);
    };
    try {
      await Promise.all(Array.from({ length: inFlight }, (_, number) => worker(number)));
    } finally {
      this.#end = performance.now();
      if (bar !== null) {
        clearInterval(bar);
        this.#io.redraw("");
      }
    }
  }

  async #one(worker: number): Promise<void> {
    const begin = performance.now();
    try {
      const messages = await this.#load.request(worker);
      this.#messages += messages;
      this.#latencies.add(performance.now() - begin);
    } catch (error) {
      this.#errors++;
      this.firstError ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  #draw(): void {
    const part = Math.min(1, (performance.now() - this.#begin) / this.#forMs);
    const full = Math.round(part * BAR_WIDTH);
    const bar = "█".repeat(full) + "░".repeat(BAR_WIDTH - full);
    const rate = (this.#messages * 1000) / (performance.now() - this.#begin);
    this.#io.redraw(`${bar} ${Math.round(part * 100)} %  ${thousands(rate)} messages/s`);
  }

  result(setup: Setup) {
    const seconds = (this.#end - this.#begin) / 1000;
    const { count } = this.#latencies;
    const round = (value: number): number => Math.round(value * 100) / 100;
    return {
      version: VERSION,
      mode: setup.mode,
      url: setup.url,
      inFlight: setup.inFlight,
      bytes: setup.bytes,
      batch: this.#load.perRequest,
      seconds: round(seconds),
      requests: count,
      errors: this.#errors,
      messages: this.#messages,
      requestsPerS: Math.round(count / seconds),
      messagesPerS: Math.round(this.#messages / seconds),
      p50Ms: round(this.#latencies.percentile(50)),
      p90Ms: round(this.#latencies.percentile(90)),
      p99Ms: round(this.#latencies.percentile(99)),
      p999Ms: round(this.#latencies.percentile(99.9)),
      maxMs: round(this.#latencies.max),
    };
  }
}

const thousands = (value: number): string => Math.round(value).toLocaleString("en-US");

function resultText(result: Result): string {
  const { mode, bytes, batch, inFlight, seconds, url, version } = result;
  const shape = batch === 1 ? "" : `, ${batch} a request`;
  const head = `ayder ${version} bench ${mode}: ${bytes} bytes${shape}, ${inFlight} in flight, ${seconds} s, ${url}`;
  const numbers = table(
    ["MESSAGES/S", "REQUESTS/S", "P50 MS", "P90", "P99", "P99.9", "MAX", "ERRORS"],
    [
      [
        thousands(result.messagesPerS),
        thousands(result.requestsPerS),
        result.p50Ms,
        result.p90Ms,
        result.p99Ms,
        result.p999Ms,
        result.maxMs,
        result.errors,
      ],
    ],
  );
  return `${head}\n${numbers}`;
}
