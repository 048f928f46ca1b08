/** The log of this process on its standard error, for each of its threads. */
import type { Cell } from "../metrics/histogram.ts";
import { createLogger, formatLine, type Logger, type LogLevel } from "../metrics/log.ts";
import { LogOutput } from "../metrics/log-output.ts";

/** @param lost counts the lines that could not be written. */
export function processLog(level: string, lost: Cell): Logger {
  const output = new LogOutput({
    // This sink never blocks: it returns a promise while a pipe is full.
    sink: Bun.stderr.writer(),
    lost: (lines) => {
      lost.value += lines;
    },
    lostLine: (n) => `${formatLine("warn", "log lines lost", { n }, Date.now())}\n`,
  });
  return createLogger({
    level: level as LogLevel,
    write: (line) => output.write(line),
    now: Date.now,
  });
}
