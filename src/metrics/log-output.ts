/** Where log lines go: a stream that may be full, slow, or without a reader. */

/** Both may throw, or return a promise that settles when the stream takes data again. */
export type LogSink = {
  write(text: string): unknown;
  flush(): unknown;
};

export type LogOutputOptions = {
  readonly sink: LogSink;
  /** Called with the number of lines that were just lost. */
  readonly lost: (lines: number) => void;
  /** The line that tells of lost ones once the stream works again, its end included. */
  readonly lostLine: (lines: number) => string;
};

/** Characters that wait for a slow reader. Further lines are lost. */
export const WAITING_MAX = 256 * 1024;

/**
 * Writes lines without ever blocking or throwing. Lines are kept while the stream is full, up to a
 * bound. What cannot be written is counted, and one line says so as soon as writing works again.
 */
export class LogOutput {
  readonly #options: LogOutputOptions;
  #waiting: string[] = [];
  #waitingLength = 0;
  #isFull = false;
  /** Lines lost since the last line that told of it. */
  #lost = 0;

  constructor(options: LogOutputOptions) {
    this.#options = options;
  }

  /** @param line its end included. */
  write(line: string): void {
    if (!this.#isFull) {
      const lost = this.#lost;
      // The line before the lost ones may have been cut off where the disk was full.
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
   * @param lines how many lines the text has.
   * @param told how many lost lines it tells of.
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

  /** @param works whether the stream took what it was given last. */
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
