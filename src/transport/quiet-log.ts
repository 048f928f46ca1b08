import type { Clock } from "../env/clock.ts";
import type { LogFields, Logger } from "../metrics/log.ts";

const INTERVAL_MS = 1000;

type Topic = { count: number; fields: LogFields };

/**
 * Rate limit for warnings that an unauthenticated peer can cause. Each message is logged at once,
 * and then at most once per second with the number of occurrences.
 */
export class QuietLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  /**
   * The messages that were logged within the last second, with the number of suppressed
   * occurrences.
   */
  readonly #recent = new Map<string, Topic>();
  readonly #timers = new Map<string, () => void>();

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** @param message one of a small set of fixed texts. */
  warn(message: string, fields: LogFields): void {
    const recent = this.#recent.get(message);
    if (recent !== undefined) {
      recent.count++;
      recent.fields = fields;
      return;
    }
    this.#log.warn(message, fields);
    this.#holdBack(message);
  }

  close(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#recent.clear();
  }

  #holdBack(message: string): void {
    this.#recent.set(message, { count: 0, fields: {} });
    const cancel = this.#clock.after(INTERVAL_MS, () => {
      this.#timers.delete(message);
      const { count, fields } = this.#recent.get(message) ?? { count: 0, fields: {} };
      this.#recent.delete(message);
      if (count === 0) return;
      this.#log.warn(message, { ...fields, count });
      this.#holdBack(message);
    });
    this.#timers.set(message, cancel);
  }
}
