/**
 * The command line of a script. An unknown option, or a value that is not allowed, ends the script with
 * code 2, so that a typing mistake does not become a run of something else.
 */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { nearest } from "../../src/lib/nearest.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** @param usage is printed with the error, and by `--help`. */
export class CommandLine {
  readonly #usage: string;

  constructor(usage: string) {
    this.#usage = usage;
  }

  /** @param operands how many are allowed. */
  read<const T extends Options>(options: T, operands = 0, args = process.argv.slice(2)) {
    if (args.includes("--help")) {
      console.log(this.#usage);
      process.exit(0);
    }
    try {
      const parsed = parseArgs({ args, options, allowPositionals: true, strict: true });
      const surplus = parsed.positionals[operands];
      if (surplus !== undefined) throw new Error(`unexpected operand "${surplus}"`);
      return parsed;
    } catch (cause) {
      throw this.refused(explained(cause, Object.keys(options)));
    }
  }

  /** @returns `value` as an integer from 0, or `otherwise` if it is absent. */
  integer(what: string, value: string | undefined, otherwise: number): number {
    if (value === undefined) return otherwise;
    const number = Number(value);
    if (/^\d+$/.test(value) && Number.isSafeInteger(number)) return number;
    throw this.refused(`${what}: "${value}" is not a number`);
  }

  /** @returns an environment variable as an integer from 0, or `otherwise` if it is not set. */
  variable(name: string, otherwise: number): number {
    return this.integer(name, process.env[name], otherwise);
  }

  /** @returns `word` if it is one of the known ones. */
  oneOf<T extends string>(what: string, word: string, known: readonly T[]): T {
    const found = known.find((each) => each === word);
    if (found !== undefined) return found;
    throw this.refused(`${what}: "${word}" is not known${meant(word, known)}`);
  }

  /** Ends the script; it is thrown so that the compiler knows. */
  refused(message: string): never {
    console.error(`${message}\n${this.#usage}`);
    process.exit(2);
  }
}

function explained(cause: unknown, names: readonly string[]): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  const unknown = /^Unknown option '--([^']*)'/.exec(message);
  if (unknown?.[1] === undefined) return message;
  return `${unknown[0]}${meant(unknown[1], names, "--")}`;
}

function meant(word: string, known: readonly string[], before = ""): string {
  const near = nearest(word, known);
  return near === null ? "" : `; did you mean ${before}${near}?`;
}
