/** `Io` on this process: its standard streams, signals, environment and files. */
import { writeSync } from "node:fs";
import { type Io, OutputClosed, OutputFailed } from "./command.ts";

import { harmless } from "./visible.ts";

const COLUMNS_DEFAULT = 80;
const ROWS_DEFAULT = 24;
const STDERR = 2;
/** Text for a reader of stderr that is slower than this is dropped. */
const STDERR_WAIT_MS_MAX = 1000;

/** @param exit ends the process; only the entry point may call `process.exit`. */
export function processIo(environment: Io["environment"], exit: (code: number) => never): Io {
  const stdout = Bun.stdout.writer();
  let interrupted: AbortSignal | null = null;
  return {
    environment,
    exit,
    isTty: process.stdout.isTTY === true,
    errIsTty: process.stderr.isTTY === true,
    columns: process.stdout.columns || COLUMNS_DEFAULT,
    get rows() {
      return process.stdout.rows || ROWS_DEFAULT;
    },
    stdinIsTty: process.stdin.isTTY === true,
    get stdin() {
      return Bun.stdin.stream();
    },
    async out(data) {
      try {
        await stdout.write(typeof data === "string" ? harmless(data) : data);
        await stdout.flush();
      } catch (error) {
        if (codeOf(error) === "EPIPE") throw new OutputClosed("stdout is closed", { cause: error });
        const reason = error instanceof Error ? error.message : String(error);
        throw new OutputFailed(`cannot write to stdout: ${reason}`, { cause: error });
      }
    },
    err: (text) => writeToStderr(harmless(text)),
    redraw: (line) => writeToStderr(`\r\u001b[K${harmless(line)}`),
    // Handlers are installed on first use; a command that does not use it is ended by the signal.
    get interrupted() {
      interrupted ??= signals();
      return interrupted;
    },
    readFile: (path) => Bun.file(path).bytes(),
  };
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;

/** Returns when the text is written, so that it is not lost if the process ends right after. */
function writeToStderr(text: string): void {
  let rest = new TextEncoder().encode(text);
  const endAt = performance.now() + STDERR_WAIT_MS_MAX;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(STDERR, rest));
    } catch (error) {
      // Without a reader or disk space the text cannot be reported; the command continues.
      if (codeOf(error) !== "EAGAIN" || performance.now() > endAt) return;
      Bun.sleepSync(1);
    }
  }
}

function signals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // Only the first signal is handled; the second one ends the process.
    process.once(signal, () => controller.abort());
  }
  return controller.signal;
}
