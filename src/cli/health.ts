/** `ayder health`: checks whether a server is healthy and ready, for containers. */
import { readBounded } from "../client/answer-body.ts";
import { decodeText } from "../client/values.ts";
import { ConfigError, readConfig } from "../config/config.ts";
import { portOf } from "../server/serve.ts";
import {
  type Arguments,
  type Command,
  EXIT,
  type Io,
  OutputClosed,
  UsageError,
} from "./command.ts";
import { baseUrls, namedUrls } from "./server.ts";
import { visible } from "./visible.ts";

const PATIENCE_MS = 3_000;
const ANSWER_BYTES_MAX = 64 * 1024;

export const HEALTH: Command = {
  name: "health",
  summary: "exit with 0 if a server is healthy, with 3 if not",
  actions: [{ name: "", operands: "", summary: "", run: runHealth }],
  options: {
    url: {
      type: "string",
      value: "URL",
      help: 'server address; with several, separated by ",", one healthy is enough (default: AYDER_URL, else the address of `serve`)',
    },
    ready: { type: "boolean", help: "require that it has caught up and knows a leader" },
  },
  notes: [
    "Without a URL, checks the server that `ayder serve` would start in this environment.",
    "For the restart of containers, use health without --ready: a node without a majority is not",
    "ready, and restarting it does not help.",
  ],
};

async function runHealth(args: Arguments, io: Io): Promise<number> {
  const given = namedUrls(args, io);
  try {
    for (const url of given === undefined ? [ownUrl(io)] : baseUrls(given)) {
      if (await isHealthy(url, { given: given !== undefined, ready: args.flag("ready") }, io)) {
        return EXIT.ok;
      }
    }
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof UsageError)) throw error;
    io.err(`ayder: ${error.message}\n`);
  }
  return EXIT.unavailable;
}

/** Prints the answer of the server, or why there was none. */
async function isHealthy(
  base: string,
  { given, ready }: { readonly given: boolean; readonly ready: boolean },
  io: Io,
): Promise<boolean> {
  const url = `${base}/${ready ? "ready" : "health"}`;
  try {
    const answer = await fetch(url, {
      signal: AbortSignal.timeout(PATIENCE_MS),
      redirect: "manual",
      // A proxy would report the health of the proxy.
      proxy: false,
      // The certificate names the public name of the server, not this address.
      ...(!given && { tls: { rejectUnauthorized: false } }),
    });
    const text = decodeText(await readBounded(answer, ANSWER_BYTES_MAX)).trim();
    if (!isAyder(text)) {
      io.err(`ayder: ${url}: answered ${answer.status}, but the answer is not from Ayder\n`);
      return false;
    }
    await io.out(`${visible(text)}\n`);
    return answer.ok;
  } catch (error) {
    if (error instanceof OutputClosed) throw error;
    io.err(`ayder: ${url}: ${visible(reasonOf(error))}\n`);
    return false;
  }
}

/** The runtime describes a refused connection in a sentence that does not say so. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isRefused = /^(ECONNREFUSED|ConnectionRefused)/.test(String(Reflect.get(error, "code")));
  return isRefused ? "connection refused: no server listens there" : error.message;
}

/** `{"ok":true}` (1 with RF_COMPAT=ayder), `{"ready":…}`, or an error object. */
function isAyder(text: string): boolean {
  try {
    const said: unknown = JSON.parse(text);
    return typeof said === "object" && said !== null && ("ok" in said || "ready" in said);
  } catch {
    return false;
  }
}

function ownUrl({ environment }: Io): string {
  const config = readConfig(new Map(), environment);
  const everywhere = ["", "0.0.0.0", "::"].includes(config.host);
  const host = everywhere ? "127.0.0.1" : config.host;
  const scheme = config.tlsCert === "" ? "http" : "https";
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${portOf(config)}`;
}
