/** `ayder health`: does a server serve, and is it ready? For health checks of containers. */
import { ConfigError, readConfig } from "../config.ts";
import { portOf } from "../serve.ts";
import { type Arguments, type Command, EXIT, type Io, OutputClosed } from "./command.ts";
import { namedUrls } from "./server.ts";

const PATIENCE_MS = 3_000;

export const HEALTH: Command = {
  name: "health",
  summary: "exit with 0 if a server serves, with 3 if not",
  actions: [{ name: "", operands: "", summary: "", run: runHealth }],
  options: {
    url: {
      type: "string",
      value: "URL",
      help: 'of the server; of several, separated by ",", one will do (AYDER_URL, else as `serve` would)',
    },
    ready: { type: "boolean", help: "demand that it has caught up and knows a leader" },
  },
  notes: [
    "Without a URL it asks the server that `ayder serve` would start in this environment.",
    "Let a container be restarted by plain health: a node without a majority is not ready, and a",
    "restart does not help it.",
  ],
};

async function runHealth(args: Arguments, io: Io): Promise<number> {
  const given = namedUrls(args, io);
  try {
    for (const url of given ?? [ownUrl(io)]) {
      if (await isHealthy(url, { given: given !== undefined, ready: args.flag("ready") }, io)) {
        return EXIT.ok;
      }
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    io.err(`ayder: ${error.message}\n`);
  }
  return EXIT.unavailable;
}

/** Tells what the server said, or why it said nothing. */
async function isHealthy(
  base: string,
  { given, ready }: { readonly given: boolean; readonly ready: boolean },
  io: Io,
): Promise<boolean> {
  const url = `${base.replace(/\/+$/, "")}/${ready ? "ready" : "health"}`;
  try {
    const answer = await fetch(url, {
      signal: AbortSignal.timeout(PATIENCE_MS),
      // Its certificate names it as others know it, which is not this address.
      ...(!given && { tls: { rejectUnauthorized: false } }),
    });
    await io.out(`${(await answer.text()).trim()}\n`);
    return answer.ok;
  } catch (error) {
    if (error instanceof OutputClosed) throw error;
    io.err(`ayder: ${url}: ${error instanceof Error ? error.message : String(error)}\n`);
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
