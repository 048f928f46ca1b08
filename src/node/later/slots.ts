/**
 * Slots of a schedule: the times that a cron expression names in a time zone. A time that daylight
 * saving skips falls on the next valid instant, and one that it repeats on its first instant.
 */
import { Cron } from "croner";

const DAY_MS = 86_400_000;
/** Times in a row that may fall on an instant that is over. */
const TRIES_MAX = 20_000;

/** Thrown for an expression or a time zone that there is not. */
export class InvalidCron extends Error {
  override readonly name = "InvalidCron";
}

/** The message of the parser; the number of fields as the manual states it. */
const reasonOf = (message: string): string =>
  /space separated parts/.test(message)
    ? "it must have five fields (minute, hour, day of the month, month, day of the week), or six with the second first"
    : message.replace(/^CronPattern: /, "");

export class Slots {
  readonly #cron: Cron;
  readonly #zone: Intl.DateTimeFormat | null;

  /** @param tz empty: UTC. @throws InvalidCron */
  constructor(expression: string, tz: string) {
    try {
      this.#zone = tz === "" || tz === "UTC" ? null : zoneFormat(tz);
    } catch {
      throw new InvalidCron(
        `time zone ${JSON.stringify(tz)}: it must be a name such as Europe/Berlin`,
      );
    }
    try {
      // Times of a clock on the wall. `#instantOf` decides which instants they are in the zone.
      // An offset costs a fraction of what a zone does.
      this.#cron = new Cron(expression, { utcOffset: 0, paused: true });
    } catch (error) {
      const why = error instanceof Error ? reasonOf(error.message) : "";
      throw new InvalidCron(`cron expression ${JSON.stringify(expression)}: ${why}`);
    }
  }

  /** Returns the first slot after an instant; null if there is none. */
  after(instantMs: number): number | null {
    if (this.#zone === null) return this.#next(instantMs);
    // A time that the clocks showed before, or skipped, is an instant that is over.
    let wallMs: number | null = instantMs + this.#offsetAt(instantMs);
    for (let left = TRIES_MAX; left > 0; left--) {
      wallMs = this.#next(wallMs);
      if (wallMs === null) return null;
      const slotMs = this.#instantOf(wallMs);
      if (slotMs > instantMs) return slotMs;
    }
    return null;
  }

  #next(wallMs: number): number | null {
    return this.#cron.nextRun(new Date(wallMs))?.getTime() ?? null;
  }

  #instantOf(wallMs: number): number {
    const before = this.#offsetAt(wallMs - DAY_MS);
    const after = this.#offsetAt(wallMs + DAY_MS);
    const candidates = [wallMs - before, wallMs - after].sort((a, b) => a - b);
    const valid = candidates.find((ms) => ms + this.#offsetAt(ms) === wallMs);
    return valid ?? this.#transition(wallMs - DAY_MS, wallMs + DAY_MS, before);
  }

  /** The first instant whose offset is not `before`. */
  #transition(fromMs: number, toMs: number, before: number): number {
    let low = fromMs;
    let high = toMs;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.#offsetAt(middle) === before) low = middle;
      else high = middle;
    }
    return high;
  }

  /** Milliseconds that the clocks of the zone are ahead of UTC. */
  #offsetAt(instantMs: number): number {
    if (this.#zone === null) return 0;
    const second = Math.floor(instantMs / 1000) * 1000;
    const parts = this.#zone.formatToParts(second);
    const part = (type: string) => Number(parts.find((each) => each.type === type)?.value);
    const [year, month, day] = [part("year"), part("month"), part("day")];
    const wall = Date.UTC(year, month - 1, day, part("hour"), part("minute"), part("second"));
    return wall - second;
  }
}

const zoneFormat = (timeZone: string): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
