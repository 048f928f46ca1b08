/**
 * The messages of one partition, or of one key while the partitions are not known: one request at a
 * time, so they stay in order.
 */
import { AyderError } from "./errors.ts";
import { type Log, NUMBERS_UNKNOWN, type SentBatch } from "./log.ts";
import type { Outgoing } from "./outgoing.ts";

/** Position of a stored message. */
export type Sent = {
  readonly partition: number;
  readonly offset: number;
  readonly durable: boolean;
};

export type Waiting = Outgoing & {
  readonly bytes: number;
  resolve(sent: Sent): void;
  reject(error: unknown): void;
};

/** Shared by the lanes of a producer. */
export type LaneOptions = {
  readonly log: Log;
  readonly topic: string;
  readonly mode: "sealed" | "rocket" | undefined;
  readonly batchBytes: number;
  readonly batchMessages: number;
  readonly retryMs: number | undefined;
  readonly numbers: Numbers;
  /** A batch was taken out of a lane. */
  readonly taken: (lane: Lane) => void;
  /** The messages of a batch have an answer or an error. */
  readonly done: (bytes: number) => void;
  readonly failed: (error: unknown) => void;
  /** The lane has no message any more. */
  readonly idle: (lane: Lane) => void;
};

/** The numbers of a producer. */
export type Numbers = {
  readonly id: string;
  readonly epoch: number;
  /** False: the epoch was given, so only its giver may raise it. */
  readonly mayRaise: boolean;
  /** Until then, the server is taken not to know numbers, and messages get idempotency keys. */
  keysUntilMs: number;
};

/** For this long a producer uses idempotency keys after it met a server that does not know numbers. */
const KEYS_MS = 60_000;

export class Lane {
  readonly name: string;
  readonly partition: number | undefined;
  readonly #options: LaneOptions;
  readonly #queue: Waiting[] = [];
  #epoch: number;
  #seq = 0;
  /** Set when no message of this lane can be sent any more. */
  #ended: AyderError | null = null;
  #running: Promise<void> | null = null;

  /** @param partition undefined: messages go to the partition of their key, with idempotency keys. */
  constructor(options: LaneOptions, name: string, partition: number | undefined) {
    this.#options = options;
    this.name = name;
    this.partition = partition;
    this.#epoch = options.numbers.epoch;
  }

  push(waiting: Waiting): void {
    this.#queue.push(waiting);
    this.#running ??= this.#drain();
  }

  /** Resolves when every message pushed before has an answer or an error. */
  async flush(): Promise<void> {
    await this.#running;
  }

  async #drain(): Promise<void> {
    // Messages sent in the same event-loop iteration go into the first request.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#take();
      this.#options.taken(this);
      await this.#write(batch);
    }
    this.#running = null;
    this.#options.idle(this);
  }

  /** Removes the messages of the next request. */
  #take(): Waiting[] {
    const { batchBytes, batchMessages } = this.#options;
    let bytes = 0;
    let count = 0;
    for (const { bytes: size } of this.#queue) {
      if (count > 0 && (bytes + size > batchBytes || count >= batchMessages)) break;
      bytes += size;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    try {
      const { partition, firstOffset = 0, durable, duplicate } = await this.#send(batch);
      // A duplicate is durable: it is answered after the first write is committed.
      const isDurable = duplicate === true || durable === true;
      for (const [i, { resolve }] of batch.entries()) {
        resolve({ partition, offset: firstOffset + i, durable: isDurable });
      }
    } catch (error) {
      if (isTooLarge(error) && batch.length > 1) {
        await this.#halve(batch);
        return;
      }
      this.#options.failed(error);
      for (const { reject } of batch) reject(error);
    }
    this.#options.done(batch.reduce((sum, { bytes }) => sum + bytes, 0));
  }

  /** Splits a batch that is too large, so that one large message does not fail the others. */
  async #halve(batch: readonly Waiting[]): Promise<void> {
    const middle = batch.length >> 1;
    await this.#write(batch.slice(0, middle));
    await this.#write(batch.slice(middle));
  }

  #send(batch: readonly Waiting[]): Promise<SentBatch> {
    const { mode, numbers } = this.#options;
    const isNumbered = this.partition !== undefined && mode !== "rocket";
    return isNumbered && Date.now() >= numbers.keysUntilMs
      ? this.#sendNumbered(batch)
      : this.#sendWithKey(batch);
  }

  #sendWithKey(batch: readonly Waiting[]): Promise<SentBatch> {
    const { log, topic, mode, retryMs } = this.#options;
    return log.send(topic, batch, { partition: this.partition, mode, retryMs });
  }

  async #sendNumbered(batch: readonly Waiting[]): Promise<SentBatch> {
    if (this.#ended !== null) throw this.#ended;
    const { log, topic, mode, retryMs, numbers } = this.#options;
    const producer = `${numbers.id}:${this.#epoch}:${this.#seq}`;
    let sent: SentBatch;
    try {
      sent = await log.send(topic, batch, { partition: this.partition, producer, mode, retryMs });
    } catch (error) {
      if (error instanceof AyderError) {
        if (error.outcome === "refused" && NUMBERS_UNKNOWN.includes(error.code)) {
          numbers.keysUntilMs = Date.now() + KEYS_MS;
          return await this.#sendWithKey(batch);
        }
        this.#failed(error);
      }
      throw error;
    }
    if (sent.firstOffset === undefined || sent.payloadMatches === false) {
      this.#ended = conflict(producer);
      throw this.#ended;
    }
    // An earlier version that ignores unknown parameters has stored the messages without the number.
    if (sent.duplicate === undefined) numbers.keysUntilMs = Date.now() + KEYS_MS;
    else this.#seq++;
    return sent;
  }

  /**
   * Decides how the lane continues. After an unknown outcome, the next number is not known. A higher
   * epoch begins at 0, and fences an attempt that is still on its way.
   */
  #failed(error: AyderError): void {
    const isLost = error.outcome === "unknown" || error.code === "sequence_gap";
    const isFenced = error.code === "stale_epoch";
    if (isFenced || (isLost && !this.#options.numbers.mayRaise)) this.#ended = error;
    else if (isLost) {
      this.#epoch++;
      this.#seq = 0;
    }
  }
}

const conflict = (producer: string): AyderError =>
  new AyderError(
    `another process has used the number ${producer} for another message; nothing was stored`,
    { code: "sequence_conflict", status: 409, outcome: "refused", isRetriable: false },
  );

const isTooLarge = (error: unknown): boolean =>
  error instanceof AyderError && error.status === 413 && error.outcome === "refused";
