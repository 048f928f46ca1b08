/** How commands connect to a server, and the exit codes of its errors. */
import { type AyderError, type Client, createClient } from "../client/index.ts";
import { stringifyExact } from "../client/json-values.ts";
import { baseOf } from "../client/url.ts";
import { type Arguments, EXIT, type Io, type Option, UsageError } from "./command.ts";
import { proxyFor } from "./proxy.ts";
import { visible } from "./visible.ts";

const URL_DEFAULT = "http://127.0.0.1:1109";
/** Retry time of a command: longer than an election, short enough to report an outage. */
const RETRY_MS = 5_000;
/** Outages shorter than this are not reported, because an election takes about as long. */
const OUTAGE_QUIET_MS = 1_500;
const OUTAGE_TELL_MS = 10_000;
/** Errors further apart than this, including attempts that time out, are separate outages. */
const OUTAGE_GAP_MS = 15_000;

/** Options of every command that talks to a server. */
export const SERVER_OPTIONS = {
  url: {
    type: "string",
    value: "URL",
    help: `server address; separate several nodes with "," (default: AYDER_URL, else ${URL_DEFAULT})`,
  },
  json: { type: "boolean", help: "print JSON with the field names of the HTTP API" },
} as const satisfies Readonly<Record<string, Option>>;

export const URL_OPTION = { url: SERVER_OPTIONS.url };

/** @throws UsageError for an invalid address. */
export function connect(args: Arguments, io: Io): Client {
  const urls = serverUrls(args, io);
  const token = tokenFor(urls, io);
  try {
    return createClient({
      urls,
      retryMs: RETRY_MS,
      onRetry: outageTeller(io),
      proxy: (url) => proxyFor(url, io.environment),
      ...(token === undefined ? {} : { token }),
    });
  } catch (error) {
    throw wrongUrl(urls.join(), error);
  }
}

const wrongUrl = (given: string, error: unknown): UsageError => {
  const reason = error instanceof Error ? error.message : String(error);
  return new UsageError(`--url or AYDER_URL, ${JSON.stringify(given)}: ${reason}`);
};

/** Prints why a command waits: after a second, and then from time to time. */
function outageTeller(io: Io): (error: AyderError) => void {
  let since = 0;
  let last = Number.NEGATIVE_INFINITY;
  let told = Number.NEGATIVE_INFINITY;
  return ({ message }) => {
    const now = performance.now();
    if (now - last > OUTAGE_GAP_MS) since = now;
    last = now;
    if (now - since < OUTAGE_QUIET_MS || now - told < OUTAGE_TELL_MS) return;
    told = now;
    io.err(`ayder: ${visible(message)}; trying again\n`);
  };
}

/** Addresses that were given. Undefined if there are none; an empty AYDER_URL counts as none. */
export const namedUrls = (args: Arguments, io: Io): readonly string[] | undefined =>
  (args.text("url") ?? (io.environment["AYDER_URL"] || undefined))?.split(",");

/** For commands that talk to a server without the client. @throws UsageError */
export function baseUrls(urls: readonly string[]): readonly string[] {
  return urls.map((url) => {
    try {
      return baseOf(url.trim());
    } catch (error) {
      throw wrongUrl(url, error);
    }
  });
}

export const serverUrls = (args: Arguments, io: Io): readonly string[] =>
  namedUrls(args, io) ?? [URL_DEFAULT];

/** Undefined if there is no token to send. @throws UsageError for one that no header can have. */
export function tokenFor(urls: readonly string[], io: Io): string | undefined {
  const token = io.environment["AYDER_TOKEN"] || (urls.every(isThisMachine) ? "dev" : undefined);
  if (token === undefined || HEADER_TEXT.test(token)) return token;
  throw new UsageError("AYDER_TOKEN has a line break or another character that no header can have");
}

const HEADER_TEXT = /^[\x20-\x7e\xa0-\xff]+$/;

/** True for a server on this machine; only there the default token may be sent. */
function isThisMachine(url: string): boolean {
  if (!URL.canParse(url)) return true;
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}

/** Prints the error, and without --json the page of the manual about it. @returns the exit code. */
export function explain(error: AyderError, io: Io, json: boolean): number {
  const { code, message, outcome, status } = error;
  const unknown = outcome === "unknown" ? "; the outcome is unknown" : "";
  io.err(`ayder: ${visible(message)} (${visible(code)}${unknown})\n`);
  if (!json) {
    const step = nextStep(error, io);
    if (step !== null) io.err(`${step}\n`);
    tellHelp(error.helpUrl, io);
  }
  const refused = status >= 400 && status < 500 && status !== 429 && outcome === "refused";
  return refused || code === "invalid_name" ? EXIT.refused : EXIT.unavailable;
}

/** Returns the next step after an error that a wrong setting causes; null for all others. */
function nextStep({ code, message }: AyderError, io: Io): string | null {
  switch (code) {
    case "unreachable":
      return "`ayder serve` starts a server on this machine; --url or AYDER_URL names another one";
    case "unauthorized":
      return io.environment["AYDER_TOKEN"]
        ? "AYDER_TOKEN is not a token of this server"
        : "set AYDER_TOKEN to a token of this server";
    default:
      return message.startsWith("https:") && message.endsWith("EPROTO")
        ? "the server does not speak HTTPS; its address may begin with http://"
        : null;
  }
}

/** Prints the page of the manual that explains an error. */
export function tellHelp(url: string | undefined, io: Io): void {
  if (url !== undefined) io.err(`see ${visible(url)}\n`);
}

/** The fields of an answer on one line, with the names of the HTTP API. */
export const jsonLine = (value: unknown): string => `${stringifyExact(snake(value))}\n`;

/** Fields whose content users defined: the names in it stay as they are. */
const OF_USERS: ReadonlySet<string> = new Set(["columns", "decode", "filter", "headers"]);

function snake(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snake);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      OF_USERS.has(name) ? item : snake(item),
    ]),
  );
}
