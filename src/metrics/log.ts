/**
 * Writes one event per line: `ts=… level=info msg="became leader" shard=0 term=7`. Values are
 * escaped, so that text of a client cannot forge a line or control a terminal.
 */
export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogValue = string | number | boolean | null | undefined;
export type LogFields = Readonly<Record<string, LogValue>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LoggerOptions = {
  readonly level: LogLevel;
  /** Writes one line, including its end. */
  readonly write: (line: string) => void;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
};

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];
/** The values of fields with these words in their name are not printed. */
const SECRET = /token|password|secret|authorization|private/i;
const VALUE_CHARACTERS_MAX = 512;

export function createLogger({ level, write, now }: LoggerOptions): Logger {
  const lowest = LEVELS.indexOf(level);
  const log = (at: LogLevel) => (message: string, fields?: LogFields) => {
    if (LEVELS.indexOf(at) < lowest) return;
    write(`${formatLine(at, message, fields ?? {}, now())}\n`);
  };
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

const nothing = (): void => {};
/** Discards everything; for tests. */
export const SILENT: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

export function formatLine(
  level: LogLevel,
  message: string,
  fields: LogFields,
  nowMs: number,
): string {
  let line = `ts=${new Date(nowMs).toISOString()} level=${level} msg=${quoted(message)}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) line += ` ${name}=${SECRET.test(name) ? "[redacted]" : shown(value)}`;
  }
  return line;
}

const BARE = /^[A-Za-z0-9_.:/@+-]{1,512}$/;
const shown = (value: string | number | boolean | null): string =>
  typeof value === "string" && !BARE.test(value) ? quoted(value) : String(value);

function quoted(text: string): string {
  const cut = text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX)}…` : text;
  return JSON.stringify(cut).replace(UNPRINTABLE, escapeCharacter);
}

/** Characters that JSON does not escape and terminals interpret: DEL, C1, line and bidi controls. */
const UNPRINTABLE = /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const escapeCharacter = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
