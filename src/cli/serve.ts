/** `ayder serve`: a server until SIGTERM or SIGINT. */
import { readConfig } from "../config/config.ts";
import type { Setting } from "../config/settings.ts";
import { VERSION } from "../config/version.ts";
import { isStartError, type Serving, serve } from "../server/serve.ts";
import { type Arguments, type Command, EXIT, type Io, type Option } from "./command.ts";
import { allSettings } from "./settings-text.ts";

/** A stop that takes longer than this is given up. */
const STOP_MS_MAX = 9_000;

const optionOf = ({ help, kind, default: value }: Setting): Option => ({
  type: "string",
  value: kind === "integer" ? "N" : "TEXT",
  help: (value === "" ? help : `${help} (${value})`).replaceAll("`", ""),
});

export const SERVE: Command = {
  name: "serve",
  summary: "run a server; `ayder --port 1109` does the same",
  actions: [{ name: "", operands: "", summary: "", run: runServe }],
  options: Object.fromEntries(
    allSettings().flatMap((setting) =>
      setting.flag === undefined ? [] : [[setting.flag, optionOf(setting)]],
    ),
  ),
  notes: [
    "Everything else is set by variables, see `ayder settings`. The ones needed most:",
    "  RF_BEARER_TOKENS  who may do what; unset: dev, from this machine only",
    "  RF_HA_ENABLED, RF_HA_NODE_ID, RF_HA_NODES  this node is one of a cluster",
    "SIGTERM finishes what was accepted, takes a checkpoint and exits with 0; so do SIGINT, SIGQUIT.",
    "SIGHUP reads the files of certificates again; settings and tokens are read at start only.",
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
  try {
    serving = await serve(readConfig(flagsOf(args), io.environment), fault);
  } catch (error) {
    if (!isStartError(error)) throw error;
    io.err(`ayder: ${error.message}\n`);
    return EXIT.start;
  }
  const stop = signalled();
  const { url, log } = serving;
  // The node serves whether or not anybody can read this.
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

/** "All addresses" is none to go to. */
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
 * SIGHUP reads certificates again. The two that are free for programs mean nothing here; without a
 * handler each would end the node at once, without a checkpoint.
 */
function handleHarmlessSignals(serving: () => Serving | null): void {
  process.on("SIGHUP", () => serving()?.reload());
  for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
    process.on(signal, () => serving()?.log.info("signal ignored", { signal }));
  }
}

/** The handlers stay, so that a second signal does not cut the stop short. */
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
