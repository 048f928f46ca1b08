/** The type of a command, and the parser of its arguments. The registry is `commands.ts`. */
import { parseArgs } from "node:util";
import { nearest } from "../lib/nearest.ts";
import { parseDecimal } from "../lib/parse.ts";

/** Exit codes, for scripts. */
export const EXIT = {
  ok: 0,
  /** The server refused the request (4xx), or local files are damaged or already exist. */
  refused: 1,
  /** The command line is invalid; nothing was sent. */
  usage: 2,
  /** The server cannot be reached or cannot serve now, or the outcome is unknown (5xx). */
  unavailable: 3,
  /** An I/O error or a bug. */
  fault: 70,
  /** The start was refused: the operator has to change settings or data. */
  start: 78,
  /** Ended by SIGINT before it was complete. */
  interrupted: 130,
} as const;

export type Option = {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** The option may be given several times. */
  readonly multiple?: true;
  /** Name of its value in the help, such as `N`. */
  readonly value?: string;
  readonly help: string;
  /** Actions that take this option; absent: all. `[""]` is the action without a name. */
  readonly only?: readonly string[];
};

/** One action of a command: `ayder topics create NAME` is the action `create`. */
export type Action = {
  /** Empty for the only or first action: it runs if the first operand names no other one. */
  readonly name: string;
  /** As in the help: `<topic> [key] [file...]`. The number of operands is derived from it. */
  readonly operands: string;
  readonly summary: string;
  /** @returns the exit code. */
  run(args: Arguments, io: Io): Promise<number>;
};

export type Command = {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The first one is the default, if it needs no operands. */
  readonly actions: readonly Action[];
  readonly options: Readonly<Record<string, Option>>;
  /** Lines below the options: rules and examples. */
  readonly notes?: readonly string[];
};

/** Environment of a command: streams, variables, signals, files. */
export type Io = {
  /**
   * Resolves when the data is written, so that slow readers apply backpressure. Text is for people
   * and for readers of JSON; control characters in it are escaped. Bytes are written unchanged.
   *
   * @throws OutputClosed, OutputFailed
   */
  out(data: string | Uint8Array): Promise<void>;
  /** Escapes the text as `out` does. */
  err(text: string): void;
  /** Replaces the last line of stderr. */
  redraw(line: string): void;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdinIsTty: boolean;
  /** True if stdout is a terminal: tables, bars and escapes are for people. */
  readonly isTty: boolean;
  /** True if stderr is a terminal: progress is shown there. */
  readonly errIsTty: boolean;
  readonly columns: number;
  /** Lines of the terminal. */
  readonly rows: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by SIGINT and SIGTERM; the second one ends the process. */
  readonly interrupted: AbortSignal;
  /** @throws Error with a `code` such as ENOENT. */
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends the process at once, for states that cannot be unwound. Otherwise return an exit code. */
  exit(code: number): never;
};

/** The command line is invalid; the message names the part. Exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The reader of stdout is gone (`| head`): the command ends without a message. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** Writing to stdout failed for another reason, such as a full disk. Exit code 70. */
export class OutputFailed extends Error {
  override readonly name = "OutputFailed";
}

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** Options and operands of one call. */
export class Arguments {
  readonly operands: readonly string[];
  readonly #values: Values;

  constructor(operands: readonly string[], values: Values) {
    this.operands = operands;
    this.#values = values;
  }

  /** Returns an operand that is `<required>` in `Action.operands`. */
  operand(index: number): string {
    return this.operands[index] ?? "";
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** @throws UsageError if it is not an integer from `min` to `max`. */
  integer(name: string, min = 0, max = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : integerOf(`--${name}`, text, min, max);
  }

  /** @throws UsageError if it is not one of the allowed texts. */
  choice<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const text = this.text(name);
    const found = allowed.find((each) => each === text);
    if (text === undefined || found !== undefined) return found;
    throw new UsageError(`--${name}: "${text}" is not one of: ${allowed.join(", ")}`);
  }
}

/** Splits `NAME=VALUE`. @throws UsageError that names `what` if there is no name. */
export function pairOf(what: string, text: string): [name: string, value: string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new UsageError(`${what} ${text}: it must be NAME=VALUE`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}

/** @throws UsageError that names `what` if the text is not an integer from `min` to `max`. */
export function integerOf(
  what: string,
  text: string,
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
): number {
  const value = parseDecimal(text);
  if (value === null || value < min || value > max) {
    const isOpen = max === Number.MAX_SAFE_INTEGER;
    const wanted = isOpen ? `an integer of ${min} or more` : `an integer from ${min} to ${max}`;
    throw new UsageError(`${what}: "${text}" is not ${wanted}`);
  }
  return value;
}

/** @throws UsageError that names the words that are allowed in place of an offset. */
export function offsetOr(what: string, text: string, words: readonly string[]): number {
  const offset = parseDecimal(text);
  if (offset !== null) return offset;
  throw new UsageError(`${what}: "${text}" is neither an offset nor one of: ${words.join(", ")}`);
}

export const HELP_OPTION: Option = { type: "boolean", short: "h", help: "this text" };

export type Call =
  | { readonly kind: "help" }
  | { readonly kind: "run"; readonly action: Action; readonly args: Arguments };

/**
 * @param redundant a first operand that is allowed and ignored.
 * @throws UsageError for an unknown action or option, and for too few or too many operands.
 */
export function readCall(command: Command, args: readonly string[], redundant?: string): Call {
  const options = { ...command.options, help: HELP_OPTION };
  const parsed = parseOptions(args, options);
  const { values } = parsed;
  if (values["help"] === true) return { kind: "help" };
  const named = redundant !== undefined && parsed.positionals[0] === redundant;
  const positionals = named ? parsed.positionals.slice(1) : parsed.positionals;
  const { action, operands } = chooseAction(command, positionals);
  checkOperands(command, action, operands);
  for (const name of Object.keys(values)) {
    const only = command.options[name]?.only;
    if (only !== undefined && !only.includes(action.name)) {
      const owner = only[0] === "" ? "without an action" : only.join(", ");
      throw new UsageError(`--${name} belongs to ${command.name} ${owner}`);
    }
  }
  return { kind: "run", action, args: new Arguments(operands, values) };
}

/** @throws UsageError */
export function parseOptions(
  args: readonly string[],
  options: Readonly<Record<string, Option>>,
): { values: Values; positionals: string[] } {
  const specs = Object.entries(options).map(([name, { type, short, multiple = false }]) => [
    name,
    short === undefined ? { type, multiple } : { type, multiple, short },
  ]);
  try {
    return parseArgs({
      args: [...args],
      options: Object.fromEntries(specs),
      allowPositionals: true,
      strict: true,
    });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(helpful(message, Object.keys(options)), { cause });
  }
}

/** Replaces the messages of Node, and its advice about `--` by the nearest known option. */
function helpful(message: string, names: readonly string[]): string {
  const unknown = /^Unknown option '--([^']*)'/.exec(message)?.[1];
  if (unknown !== undefined)
    return `unknown option --${unknown}${didYouMean(unknown, names, "--")}`;
  const missing = /^Option '(?:-\w, )?--([^' ]*)[^']*' argument missing/.exec(message)?.[1];
  if (missing !== undefined) return `--${missing} needs a value`;
  const ambiguous = /^Option '(?:-\w, )?--([^' ]*)[^']*' argument is ambiguous/.exec(message)?.[1];
  if (ambiguous !== undefined) {
    return `--${ambiguous} needs a value; write --${ambiguous}=VALUE if it begins with "-"`;
  }
  const short = /^Unknown option '(-[^']*)'/.exec(message)?.[1];
  return short === undefined ? message : `unknown option ${short}`;
}

/** Returns `; did you mean --port?`, or an empty string. */
export function didYouMean(word: string, known: readonly string[], before = ""): string {
  const meant = nearest(word, known);
  return meant === null ? "" : `; did you mean ${before}${meant}?`;
}

function chooseAction(command: Command, positionals: readonly string[]) {
  const [first] = command.actions;
  if (first === undefined) throw new Error(`${command.name} has no action`);
  const [name, ...operands] = positionals;
  if (first.name === "") {
    const named = command.actions.find((each) => each !== first && each.name === name);
    return named === undefined
      ? { action: first, operands: positionals }
      : { action: named, operands };
  }
  if (name === undefined && !first.operands.includes("<")) return { action: first, operands };
  const action = command.actions.find((each) => each.name === name);
  if (action !== undefined) return { action, operands };
  const known = command.actions.map((each) => each.name).join(", ");
  throw new UsageError(
    name === undefined
      ? `${command.name} needs one of: ${known}`
      : `${command.name} has no action "${name}"${meantAction(name, command)}; actions: ${known}`,
  );
}

/** Words that other programs, and other commands of this one, use for an action. */
const SYNONYMS: readonly (readonly string[])[] = [
  ["create", "define", "put", "set", "add", "new"],
  ["describe", "show", "get", "info"],
  ["delete", "remove", "rm", "drop", "forget"],
  ["list", "ls"],
];

function meantAction(name: string, { actions }: Command): string {
  const names = actions.map((each) => each.name);
  const synonyms = SYNONYMS.find((each) => each.includes(name)) ?? [];
  const meant = names.find((each) => synonyms.includes(each)) ?? nearest(name, names);
  return meant === null ? "" : `; did you mean ${meant}?`;
}

function checkOperands(command: Command, action: Action, operands: readonly string[]): void {
  const words = action.operands.split(" ").filter((word) => word !== "");
  const required = words.filter((word) => word.startsWith("<"));
  const missing = required[operands.length];
  const called = `${command.name} ${action.name}`.trim();
  if (missing !== undefined) throw new UsageError(`${called} needs ${missing}`);
  if (!words.some((word) => word.includes("...")) && operands.length > words.length) {
    throw new UsageError(`${called}: unexpected argument "${operands[words.length]}"`);
  }
}
