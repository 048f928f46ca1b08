/** Output of log lines to a stream that may be full, slow, or without a reader. */

/** Both methods may throw, or return a promise that settles when the stream accepts data again. */
export type LogSink = {
  write(text: string): unknown;
  flush(): unknown;
};

export type LogOutputOptions = {
  readonly sink: LogSink;
  /** Called with the number of lines that were lost. */
  readonly lost: (lines: number) => void;
  /** Returns the line that reports lost lines when the stream works again, including its end. */
  readonly lostLine: (lines: number) => string;
};

/** Limit of characters that wait for a slow reader; further lines are lost. */
export const WAITING_MAX = 256 * 1024;

/**
 * Writes lines without blocking or throwing. Lines are buffered while the stream is full, up to a
 * limit. Lost lines are counted, and one line reports them when writing works again.
 */
export class LogOutput {
  readonly #options: LogOutputOptions;
  #waiting: string[] = [];
  #waitingLength = 0;
  #isFull = false;
  /** Lines lost since the last report. */
  #lost = 0;

  constructor(options: LogOutputOptions) {
    this.#options = options;
  }

  /** @param line including its end. */
  write(line: string): void {
    if (!this.#isFull) {
      const lost = this.#lost;
      // The line before the lost ones may have been cut when the disk was full.
      const told = lost === 0 ? "" : `\n${this.#options.lostLine(lost)}`;
      this.#send(told + line, 1, lost);
    } else if (this.#waitingLength + line.length > WAITING_MAX) {
      this.#lose(1);
    } else {
      this.#waiting.push(line);
      this.#waitingLength += line.length;
    }
  }

  /**
   * @param lines number of lines of the text.
   * @param told number of lost lines that it reports.
   */
  #send(text: string, lines: number, told: number): void {
    const results: unknown[] = [];
    let failed = false;
    try {
      results.push(this.#options.sink.write(text));
      results.push(this.#options.sink.flush());
    } catch {
      failed = true;
    }
    const pending = results.filter((result) => result instanceof Promise);
    if (failed) this.#lose(lines);
    else this.#lost -= told;
    if (pending.length === 0) return;
    this.#isFull = true;
    Promise.all(pending).then(
      () => this.#drained(true),
      () => {
        if (!failed) {
          this.#lost += told;
          this.#lose(lines);
        }
        this.#drained(false);
      },
    );
  }

  /** @param works true if the stream accepted the last write. */
  #drained(works: boolean): void {
    this.#isFull = false;
    const lines = this.#waiting;
    this.#waiting = [];
    this.#waitingLength = 0;
    const lost = this.#lost;
    if (lines.length === 0 && (lost === 0 || !works)) return;
    const told = lost === 0 ? "" : this.#options.lostLine(lost);
    this.#send(lines.join("") + told, lines.length, lost);
  }

  #lose(lines: number): void {
    this.#lost += lines;
    if (lines > 0) this.#options.lost(lines);
  }
}
