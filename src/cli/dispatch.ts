/** Finds and runs the command of the arguments. */
import { AyderError } from "../client/errors.ts";
import {
  type Action,
  type Arguments,
  didYouMean,
  EXIT,
  type Io,
  OutputClosed,
  OutputFailed,
  readCall,
  UsageError,
} from "./command.ts";
import { COMMANDS, DEFAULT_COMMAND, type Entry } from "./commands.ts";
import { commandHelp, overview } from "./help.ts";

/** @returns the exit code. Errors become exit codes as well; nothing is thrown. */
export async function dispatch(argv: readonly string[], version: string, io: Io): Promise<number> {
  try {
    return await run(argv, version, io);
  } catch (error) {
    if (error instanceof OutputClosed) return EXIT.ok;
    if (error instanceof OutputFailed) {
      io.err(`ayder: ${error.message}\n`);
      return EXIT.fault;
    }
    if (error instanceof UsageError) {
      io.err(`ayder: ${error.message}\nTry: ayder ${helpWords(argv)}--help\n`);
      return EXIT.usage;
    }
    if (error instanceof Error && error.name === "AbortError") return EXIT.interrupted;
    io.err(`ayder: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return EXIT.fault;
  }
}

async function run(argv: readonly string[], version: string, io: Io): Promise<number> {
  const [first = DEFAULT_COMMAND, ...rest] = argv;
  switch (first) {
    case "help":
      return await help(rest[0], version, io);
    case "--help":
    case "-h":
      return await help(undefined, version, io);
    case "version":
    case "--version":
    case "-v":
      await io.out(`ayder ${version}\n`);
      return EXIT.ok;
    default:
  }
  // Options without a command belong to the default command, which may be named after them.
  const bare = first.startsWith("-");
  const command = await entryOf(bare ? DEFAULT_COMMAND : first).load();
  const call = bare ? readCall(command, argv, DEFAULT_COMMAND) : readCall(command, rest);
  if (call.kind === "run") return await runAction(call.action, call.args, io);
  await io.out(commandHelp(command));
  return EXIT.ok;
}

async function runAction(action: Action, args: Arguments, io: Io): Promise<number> {
  try {
    return await action.run(args, io);
  } catch (error) {
    // Loaded only here, because a server does not need it.
    if (!(error instanceof AyderError)) throw error;
    return (await import("./server.ts")).explain(error, io, args.flag("json"));
  }
}

async function help(name: string | undefined, version: string, io: Io): Promise<number> {
  const text = name === undefined ? overview(version, COMMANDS) : await helpOf(name);
  await io.out(text);
  return EXIT.ok;
}

const helpOf = async (name: string): Promise<string> => commandHelp(await entryOf(name).load());

function entryOf(name: string): Entry {
  const entry = COMMANDS.find((each) => each.name === name);
  if (entry === undefined) {
    const names = COMMANDS.map((each) => each.name);
    throw new UsageError(`unknown command: ${name}${didYouMean(name, names)}`);
  }
  return entry;
}

const helpWords = ([first = ""]: readonly string[]): string =>
  COMMANDS.some(({ name }) => name === first) ? `${first} ` : "";
