/** `ayder work`: runs a command for each message of a queue. */
import type { QueueMessage } from "../client/index.ts";
import { type Arguments, type Command, EXIT, type Io, integerOf, UsageError } from "./command.ts";
import { connect, SERVER_OPTIONS } from "./server.ts";
import { durationOf } from "./times.ts";
import { visible } from "./visible.ts";

export const WORK: Command = {
  name: "work",
  summary: "run a command for each message of a queue",
  actions: [{ name: "", operands: "<queue> <command...>", summary: "", run: work }],
  options: {
    ...SERVER_OPTIONS,
    concurrency: {
      type: "string",
      short: "c",
      value: "N",
      help: "messages at a time (default: 1)",
    },
    visibility: {
      type: "string",
      value: "TIME",
      help: "length of a lease, which is prolonged while the command runs (default: 30s)",
    },
  },
  notes: [
    "The message is the standard input of the command. Exit code 0 acknowledges it; with any other",
    "one it comes again after the backoff of the queue, and is put aside after the last attempt.",
    "The command finds AYDER_QUEUE, AYDER_TOPIC, AYDER_PARTITION, AYDER_OFFSET, AYDER_ATTEMPT and",
    "AYDER_KEY in its environment. If the lease is lost, the command is ended (SIGTERM).",
    "Ctrl-C waits for the commands that run.",
    "Example: ayder work mail --concurrency 4 -- ./send-mail",
  ],
};

async function work(args: Arguments, io: Io): Promise<number> {
  const [name = "", ...command] = args.operands;
  // Otherwise each message would fail, up to its last attempt.
  const [program = ""] = command;
  if (Bun.which(program, { PATH: io.environment["PATH"] ?? "" }) === null) {
    throw new UsageError(`cannot run ${visible(program)}: there is no such program`);
  }
  const concurrency = args.text("concurrency");
  const visibility = args.text("visibility");
  const queue = connect(args, io).queue(name);
  await queue.work((message, lost) => runFor(name, message, command, io, lost), {
    concurrency: concurrency === undefined ? 1 : integerOf("--concurrency", concurrency, 1),
    visibilityMs: visibility === undefined ? 30_000 : durationOf("--visibility", visibility),
    signal: io.interrupted,
    onError: (error, message) => {
      if (error instanceof UsageError) throw error;
      const what = error instanceof Error ? error.message : String(error);
      const place =
        message === undefined
          ? ""
          : `${message.topic}/${message.partition} offset ${message.offset}: `;
      io.err(`ayder: ${visible(place + what)}\n`);
    },
  });
  return EXIT.ok;
}

/** @throws Error if the command cannot be started, or does not exit with 0. */
async function runFor(
  queue: string,
  message: QueueMessage,
  command: readonly string[],
  { environment }: Io,
  lost: AbortSignal,
): Promise<void> {
  const child = Bun.spawn([...command], {
    env: { ...environment, ...variablesOf(queue, message) },
    stdin: message.bytes,
    // A process group of its own: Ctrl-C in a terminal goes to all processes of the group.
    detached: true,
    stdout: "inherit",
    stderr: "inherit",
    signal: lost,
  });
  const code = await child.exited;
  if (code !== 0) throw new Error(`${command[0]} exited with ${code}, attempt ${message.attempt}`);
}

const variablesOf = (
  queue: string,
  { topic, partition, offset, attempt, key }: QueueMessage,
): Record<string, string> => ({
  AYDER_QUEUE: queue,
  AYDER_TOPIC: topic,
  AYDER_PARTITION: String(partition),
  AYDER_OFFSET: String(offset),
  AYDER_ATTEMPT: String(attempt),
  ...(key === null ? {} : { AYDER_KEY: key }),
});
