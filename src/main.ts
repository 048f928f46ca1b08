/** argv → command. The only place that ends the process. */
import { helpText, type Invocation, parseCommandLine, UsageError } from "./cli.ts";
import { processEnvironment, readConfig } from "./config.ts";
import { isStartError, type Serving, serve } from "./serve.ts";
import { VERSION } from "./version.ts";

const EXIT_USAGE = 2;
/** A fault or a bug: memory or disk can no longer be trusted. */
const EXIT_FAULT = 70;
/** The start was refused: settings or data need the operator. */
const EXIT_START = 78;
/** A stop that takes longer than this is given up. */
const STOP_MS_MAX = 9_000;

function fault(error: unknown): never {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const cause = error instanceof Error && error.cause !== undefined ? ` cause: ${error.cause}` : "";
  process.stderr.write(
    `ts=${new Date().toISOString()} level=error msg="the node must stop: nothing more is acknowledged" error=${JSON.stringify(text + cause)}\n`,
  );
  process.exit(EXIT_FAULT);
}

async function runServe(flags: ReadonlyMap<string, string>): Promise<void> {
  process.on("uncaughtException", fault);
  process.on("unhandledRejection", fault);
  let serving: Serving;
  try {
    serving = await serve(readConfig(flags, processEnvironment()), fault);
  } catch (error) {
    if (!isStartError(error)) throw error;
    process.stderr.write(`ayder: ${error.message}\n`);
    process.exit(EXIT_START);
  }
  process.stdout.write(`ayder ${VERSION} listening on ${serving.url}\n`);
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    serving.log.info("stopping");
    setTimeout(() => {
      serving.log.error("the stop took too long; the journal has what is missing");
      process.exit(1);
    }, STOP_MS_MAX);
    serving.stop().then(() => process.exit(0), fault);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

function commandLine(): Invocation {
  try {
    return parseCommandLine(Bun.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`ayder: ${error.message}\nTry: ayder --help\n`);
    process.exit(EXIT_USAGE);
  }
}

const invocation = commandLine();
switch (invocation.command) {
  case "help":
    process.stdout.write(helpText(VERSION));
    break;
  case "version":
    process.stdout.write(`ayder ${VERSION}\n`);
    break;
  case "serve":
    await runServe(invocation.flags);
    break;
}
