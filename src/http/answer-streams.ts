/**
 * Streams responses that are too large for one write, in pieces, as fast as the client reads them.
 * Their bytes are charged to a budget. A stream whose client has stopped reading is ended.
 */
import type { Instruments } from "../metrics/instruments.ts";
import type { MemoryBudget } from "./memory-budget.ts";

/** Approximate size of a piece. At most one piece waits for a connection at a time. */
export const PIECE_BYTES = 256 * 1024;
/** Longer responses are sent in pieces. Shorter ones fit into the kernel's buffers. */
export const ONE_WRITE_BYTES_MAX = 64 * 1024;
/** While the budget is used up, a client may stop reading for at most this long. */
const STALLED_SHORT_MS = 60_000;
const ROOM_LOOK_MS = 50;
/** Number of checks for stalled streams within the time limit. */
const LOOKS = 4;

/** Produces the pieces of one response. */
export type AnswerSource = {
  /** @returns the next piece, already charged to the budget; null at the end. */
  next(): Promise<Uint8Array | null>;
  /** Aborted when the response must end now, whether it is complete or not. */
  readonly until?: AbortSignal;
  /** Called once, when the connection has taken all pieces or the client has disconnected. */
  ended(): void;
};

/** Operations on the connection of a request, which the server provides. */
export type AnswerSocket = {
  /** Lifts the idle timeout from a request. */
  allowLong(request: Request): void;
  /** Restores the usual idle timeout. */
  endLong(request: Request): void;
  /** Closes the stalled connection of a request within seconds. */
  cut(request: Request): void;
  /**
   * Reads the state of all connections. @returns bytes that a client's kernel has acknowledged;
   * null if unknown.
   */
  acknowledged(): (request: Request) => number | null;
};

export type AnswerStreamsOptions = {
  readonly budget: MemoryBudget;
  readonly socket: () => AnswerSocket;
  /** A stream is ended if its client reads nothing for this long. */
  readonly stalledMs: number;
  readonly instruments: Pick<Instruments, "stalledAnswers">;
};

/** All streamed responses of an application. */
export class AnswerStreams {
  readonly budget: MemoryBudget;
  readonly #options: AnswerStreamsOptions;
  readonly #open = new Map<Request, AnswerStream>();
  #timer: Timer | null = null;

  constructor(options: AnswerStreamsOptions) {
    this.#options = options;
    this.budget = options.budget;
  }

  /** Requests whose streams have not ended. */
  requests(): Iterable<Request> {
    return this.#open.keys();
  }

  get count(): number {
    return this.#open.size;
  }

  has(request: Request): boolean {
    return this.#open.has(request);
  }

  /**
   * Returns a response that is sent as its source produces it. The bytes of a piece are released
   * when it was sent.
   */
  stream(request: Request, source: AnswerSource, init: ResponseInit): Response {
    return this.#begin(request, source, init, this.budget);
  }

  /**
   * Returns a response of these bytes, which are charged to the budget until the stream ends.
   *
   * @param compress wraps the source of the bytes in one that compresses them.
   * @returns null if the bytes do not fit into the budget.
   */
  whole(
    request: Request,
    bytes: Uint8Array,
    init: ResponseInit,
    isPublic: boolean,
    compress: (source: AnswerSource) => AnswerSource = (source) => source,
  ): Response | null {
    const { budget } = this;
    if (!(isPublic ? budget.takePublic(bytes.length) : budget.take(bytes.length))) return null;
    let at = 0;
    const source = {
      next: async () => {
        if (at > 0) await nextTurn();
        if (at >= bytes.length) return null;
        const piece = bytes.subarray(at, at + PIECE_BYTES);
        at += piece.length;
        return piece;
      },
      ended: () => (isPublic ? budget.givePublic(bytes.length) : budget.give(bytes.length)),
    };
    return this.#begin(request, compress(source), init, null);
  }

  /**
   * Waits until the budget has room for a piece, then makes the piece and charges the budget.
   *
   * @param read reads the input of the piece. Several reads may run concurrently.
   * @param make encodes the piece synchronously. It can be several times as long as the input.
   * @returns null if there is nothing to send, or if the signal was aborted first.
   */
  async piece<T>(
    signal: AbortSignal,
    read: () => Promise<T>,
    make: (read: T) => Uint8Array | null,
  ): Promise<Uint8Array | null> {
    const { budget } = this;
    while (!signal.aborted) {
      if (budget.hasRoom(PIECE_BYTES)) {
        budget.add(PIECE_BYTES);
        try {
          const what = await read();
          if (budget.used <= budget.limit || budget.used <= PIECE_BYTES) {
            const piece = make(what);
            budget.add(piece?.length ?? 0);
            return piece;
          }
        } finally {
          budget.give(PIECE_BYTES);
        }
      }
      // Other streams made long pieces, or two threads took the last room at the same time. Nobody keeps
      // room while it waits, or all could wait for each other.
      await Bun.sleep(ROOM_LOOK_MS);
    }
    return null;
  }

  #begin(
    request: Request,
    source: AnswerSource,
    init: ResponseInit,
    charged: MemoryBudget | null,
  ): Response {
    const socket = this.#options.socket();
    const stream = new AnswerStream(source, charged, () => {
      this.#open.delete(request);
      if (this.#open.size === 0) this.#stopLooking();
      socket.endLong(request);
    });
    this.#open.set(request, stream);
    this.#startLooking();
    socket.allowLong(request);
    for (const signal of [request.signal, source.until]) {
      signal?.addEventListener("abort", () => this.#cutOff(request, stream), { once: true });
      if (signal?.aborted === true) stream.end();
    }
    return new Response(stream.readable(), init);
  }

  #startLooking(): void {
    if (this.#timer !== null) return;
    const everyMs = Math.min(this.#options.stalledMs, STALLED_SHORT_MS) / LOOKS;
    this.#timer = setInterval(() => this.#endStalled(), everyMs);
    this.#timer.unref();
  }

  #stopLooking(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #endStalled(): void {
    const { stalledMs, instruments, socket } = this.#options;
    const isShort = !this.budget.hasRoom(PIECE_BYTES);
    const givenMs = isShort ? Math.min(stalledMs, STALLED_SHORT_MS) : stalledMs;
    const before = performance.now() - givenMs / 2;
    const waiting = [...this.#open].filter(([, stream]) => stream.waitsSince < before);
    if (waiting.length === 0) return;
    const acknowledged = socket().acknowledged();
    for (const [request, stream] of waiting) {
      // A slow client empties the kernel's buffers long before the next piece is asked for.
      if (stream.advanced(acknowledged(request))) continue;
      if (performance.now() - stream.waitsSince < givenMs) continue;
      instruments.stalledAnswers.value++;
      this.#cutOff(request, stream);
    }
  }

  #cutOff(request: Request, stream: AnswerStream): void {
    if (!this.#open.has(request)) return;
    stream.end();
    this.#options.socket().cut(request);
  }
}

/** One response that is being sent. */
class AnswerStream {
  readonly #source: AnswerSource;
  /** The budget that the bytes of each piece are released to; null if the source releases them. */
  readonly #budget: MemoryBudget | null;
  readonly #onEnd: () => void;
  #charged = 0;
  #acknowledged: number | null = null;
  #ended = false;
  /**
   * Time of the last piece or of the last progress of the connection; infinity while a piece is
   * made.
   */
  waitsSince = performance.now();

  constructor(source: AnswerSource, budget: MemoryBudget | null, onEnd: () => void) {
    this.#source = source;
    this.#budget = budget;
    this.#onEnd = onEnd;
  }

  /** The stream has no queue, so that a piece is made only when the connection can take it. */
  readable(): ReadableStream<Uint8Array> {
    return new ReadableStream(
      { pull: (controller) => this.#pull(controller), cancel: () => this.end() },
      { highWaterMark: 0 },
    );
  }

  /**
   * Records how many bytes the client's kernel has acknowledged.
   *
   * @returns false if the number has not grown since the last check, or is unknown.
   */
  advanced(acknowledged: number | null): boolean {
    if (acknowledged === null || acknowledged === this.#acknowledged) return false;
    // The first check has no earlier value to compare with.
    if (this.#acknowledged !== null) this.waitsSince = performance.now();
    this.#acknowledged = acknowledged;
    return true;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#discharge();
    this.#source.ended();
    this.#onEnd();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#discharge();
    this.waitsSince = Number.POSITIVE_INFINITY;
    try {
      const piece = this.#ended ? null : await this.#source.next();
      this.#charged = piece?.length ?? 0;
      if (this.#ended) this.#discharge();
      // An error instead of a close, so that a truncated response does not look complete.
      if (this.#ended) return controller.error(new Error("the answer was cut off"));
      if (piece === null) {
        this.end();
        return controller.close();
      }
      this.waitsSince = performance.now();
      this.#acknowledged = null;
      controller.enqueue(piece);
    } catch (error) {
      if (!this.#ended) this.end();
      controller.error(error);
    }
  }

  #discharge(): void {
    this.#budget?.give(this.#charged);
    this.#charged = 0;
  }
}

/** Lets other requests, timers and heartbeats run first. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
