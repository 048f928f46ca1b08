import { statSync } from "node:fs";
import type { Logger } from "./metrics/log.ts";

const CHECK_EVERY_MS = 10_000;

export type CertificateFilesOptions = {
  /** Name of their use in the log. */
  readonly use: "HTTPS" | "links between nodes";
  readonly paths: readonly string[];
  /** Reads the files and uses them. Throws if they cannot serve, with the old ones in force. */
  readonly renew: () => void;
  readonly log: Logger;
};

/**
 * Files of certificates that are replaced while the node runs. New ones are used for the connections
 * that are made from then on: within some seconds of their change, or at once by `reload`. What
 * cannot serve is logged, and the old ones stay in force.
 */
export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  #seen: string;

  constructor(options: CertificateFilesOptions) {
    this.#options = options;
    this.#seen = this.#stamp();
  }

  /** @returns the function that ends it. */
  watch(): () => void {
    const timer = setInterval(() => this.check(), CHECK_EVERY_MS);
    timer.unref();
    return () => clearInterval(timer);
  }

  /** Reads the files if they have changed since they were last read. */
  check(): void {
    if (this.#stamp() !== this.#seen) this.reload();
  }

  reload(): void {
    const { use, renew, log } = this.#options;
    // Before they are read: what changes meanwhile is seen the next time.
    this.#seen = this.#stamp();
    try {
      renew();
      log.info("certificates reloaded", { use });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error("reloading certificates failed, using the old ones", { use, reason });
    }
  }

  #stamp(): string {
    return this.#options.paths.map(stampOf).join(" ");
  }
}

function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? "absent" : `${found.mtimeMs}/${found.size}/${found.ino}`;
}
