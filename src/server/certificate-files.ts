import { statSync } from "node:fs";
import type { Logger } from "../metrics/log.ts";

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
 * Certificate files that may be replaced while the node runs. New connections use the new
 * certificates within a few seconds of the change, or at once after `reload`. A certificate that
 * cannot be used is logged, and the previous one stays in use.
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
