/** `Io` on this process: its standard streams, signals, environment and files. */
import { type Io, OutputClosed } from "./command.ts";

const COLUMNS_DEFAULT = 80;

/** @param exit ends the process; the one who may is the caller. */
export function processIo(environment: Io["environment"], exit: (code: number) => never): Io {
  const stdout = Bun.stdout.writer();
  let interrupted: AbortSignal | null = null;
  return {
    environment,
    exit,
    isTty: process.stdout.isTTY === true,
    errIsTty: process.stderr.isTTY === true,
    columns: process.stdout.columns || COLUMNS_DEFAULT,
    stdinIsTty: process.stdin.isTTY === true,
    get stdin() {
      return Bun.stdin.stream();
    },
    async out(data) {
      try {
        await stdout.write(data);
        await stdout.flush();
      } catch (error) {
        throw isClosedPipe(error) ? new OutputClosed("stdout is closed", { cause: error }) : error;
      }
    },
    err(text) {
      process.stderr.write(text);
    },
    // Whoever never asks for it is ended by the signal itself.
    get interrupted() {
      interrupted ??= signals();
      return interrupted;
    },
    readFile: (path) => Bun.file(path).bytes(),
  };
}

const isClosedPipe = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "EPIPE";

function signals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // Once: the second one ends the process.
    process.once(signal, () => controller.abort());
  }
  return controller.signal;
}
