/** Wall clocks of the nodes, set from outside by libfaketime; monotonic clocks stay as they are. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const LIBRARIES = ["x86_64-linux-gnu", "aarch64-linux-gnu", "."].map(
  (architecture) => `/usr/lib/${architecture}/faketime/libfaketime.so.1`,
);

export class Clocks {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Null: they can be had here; else why not. */
  static whyNot(): string | null {
    return LIBRARIES.some((path) => existsSync(path)) ? null : "libfaketime is not installed";
  }

  environment(id: string): Record<string, string> {
    if (!existsSync(this.#file(id))) this.set(id, 0);
    return {
      LD_PRELOAD: LIBRARIES.find((path) => existsSync(path)) ?? "",
      FAKETIME_TIMESTAMP_FILE: this.#file(id),
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  /** @param seconds how far from the truth. */
  set(id: string, seconds: number): void {
    writeFileSync(this.#file(id), `${seconds < 0 ? "" : "+"}${seconds}s\n`);
  }

  #file(id: string): string {
    return join(this.#directory, `${id}.clock`);
  }
}
