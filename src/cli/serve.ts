/** `ayder serve`: runs a server until SIGTERM or SIGINT. */
import { readConfig } from "../config/config.ts";
import type { Setting } from "../config/settings.ts";
import { VERSION } from "../config/version.ts";
import { isStartError, type Serving, serve } from "../server/serve.ts";
import { type Arguments, type Command, EXIT, type Io, type Option } from "./command.ts";
import { allSettings } from "./settings-text.ts";

/** A shutdown that takes longer than this is aborted. */
const STOP_MS_MAX = 9_000;

const optionOf = ({ help, kind, default: value }: Setting): Option => ({
  type: "string",
  value: kind === "integer" ? "N" : "TEXT",
  help: (value === "" ? help : `${help} (${value})`).replaceAll("`", ""),
});

export const SERVE: Command = {
  name: "serve",
  summary: "run a server; the same as `ayder --port 1109`",
  actions: [{ name: "", operands: "", summary: "", run: runServe }],
  options: Object.fromEntries(
    allSettings().flatMap((setting) =>
      setting.flag === undefined ? [] : [[setting.flag, optionOf(setting)]],
    ),
  ),
  notes: [
    "All other settings are environment variables, see `ayder settings`. The most important ones:",
    "  RF_BEARER_TOKENS  tokens and their scopes; default: dev, from this machine only",
    "  RF_HA_ENABLED, RF_HA_NODE_ID, RF_HA_NODES  run as a node of a cluster",
    "SIGTERM, SIGINT and SIGQUIT finish accepted requests, write a checkpoint and exit with 0.",
    "SIGHUP reloads the certificates; settings and tokens are read at start only.",
  ],
};

async function runServe(args: Arguments, io: Io): Promise<number> {
  const fault = (error: unknown): never => {
    io.err(faultLine(error));
    io.exit(EXIT.fault);
  };
  process.on("uncaughtException", fault);
  process.on("unhandledRejection", fault);
  let serving: Serving | null = null;
  handleHarmlessSignals(() => serving);
  let stop = Promise.resolve();
  // A signal ends a start that is still reading its data at once. Once clients can connect, it does not.
  const aboutToListen = (): void => {
    stop = signalled();
  };
  try {
    serving = await serve(readConfig(flagsOf(args), io.environment), fault, aboutToListen);
  } catch (error) {
    if (!isStartError(error)) throw error;
    io.err(`ayder: ${error.message}\n`);
    return EXIT.start;
  }
  const { url, log } = serving;
  // The node serves even if this line cannot be written.
  io.out(`ayder ${VERSION} listening on ${url}\nconsole: ${hereOf(url)}/ui\n`).catch(
    ({ message: reason }: Error) => log.warn("writing to stdout failed", { reason }),
  );
  await stop;
  log.info("stopping");
  setTimeout(() => {
    log.error("shutdown timed out, the journal is complete");
    io.exit(1);
  }, STOP_MS_MAX);
  await serving.stop();
  return EXIT.ok;
}

/** Replaces a wildcard address, which cannot be opened in a browser, by localhost. */
const hereOf = (url: string): string => url.replace(/\/\/(0\.0\.0\.0|\[::\]):/, "//localhost:");

function flagsOf(args: Arguments): Map<string, string> {
  const flags = new Map<string, string>();
  for (const { flag } of allSettings()) {
    const value = flag === undefined ? undefined : args.text(flag);
    if (flag !== undefined && value !== undefined) flags.set(flag, value);
  }
  return flags;
}

/**
 * SIGHUP reloads certificates. SIGUSR1 and SIGUSR2 are ignored: without a handler each of them
 * would end the node at once, without a checkpoint.
 */
function handleHarmlessSignals(serving: () => Serving | null): void {
  process.on("SIGHUP", () => serving()?.reload());
  for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
    process.on(signal, () => serving()?.log.info("signal ignored", { signal }));
  }
}

/** The handlers stay installed, so that a second signal does not interrupt the shutdown. */
const signalled = () =>
  new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
      process.on(signal, () => resolve());
    }
  });

function faultLine(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const cause = error instanceof Error && error.cause !== undefined ? ` cause: ${error.cause}` : "";
  return `ts=${new Date().toISOString()} level=error msg="the node must stop: nothing more is acknowledged" error=${JSON.stringify(text + cause)}\n`;
}
