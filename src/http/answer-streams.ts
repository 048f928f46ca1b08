/**
 * Answers that are too large for one write: sent in pieces, as fast as the client takes them. Their
 * bytes are counted, and those whose client takes nothing any longer are ended.
 */
import type { Instruments } from "../metrics/instruments.ts";
import type { MemoryBudget } from "./memory-budget.ts";

/** About this much is made, and waits for a connection, at a time. */
export const PIECE_BYTES = 256 * 1024;
/** Longer answers are sent in pieces. Shorter ones are left to the kernel's buffers. */
export const ONE_WRITE_BYTES_MAX = 64 * 1024;
/** While the budget is used up, a client that takes nothing is given this long at most. */
const STALLED_SHORT_MS = 60_000;
const ROOM_LOOK_MS = 50;
/** Stalled streams are looked for this often within the time that they are given. */
const LOOKS = 4;

/** Makes the pieces of one answer. */
export type AnswerSource = {
  /** @returns a piece, with which the budget is charged already; null at the end. */
  next(): Promise<Uint8Array | null>;
  /** Aborted when the answer is to be cut off, complete or not. */
  readonly until?: AbortSignal;
  /** Called once: everything was handed to the connection, or the client has left. */
  ended(): void;
};

/** What only the socket knows of a request. */
export type AnswerSocket = {
  /** Lifts the idle timeout from a request. */
  allowLong(request: Request): void;
  /** Gives it the usual one again. */
  endLong(request: Request): void;
  /** Closes the connection of a request on which nothing moves, within seconds. */
  cut(request: Request): void;
  /** Looks at the connections. @returns bytes that a client's kernel has confirmed; null: unknown. */
  acknowledged(): (request: Request) => number | null;
};

export type AnswerStreamsOptions = {
  readonly budget: MemoryBudget;
  readonly socket: () => AnswerSocket;
  /** A stream whose client takes nothing for this long is ended. */
  readonly stalledMs: number;
  readonly instruments: Pick<Instruments, "stalledAnswers">;
};

/** All streamed answers of an application. */
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

  /** A response that is sent as its source makes it. Each piece gives its bytes back when sent. */
  stream(request: Request, source: AnswerSource, init: ResponseInit): Response {
    return this.#begin(request, source, init, this.budget);
  }

  /**
   * Sends bytes that exist as a whole; they are charged until the end.
   *
   * @param compress makes the source of what is sent from that of the bytes.
   * @returns null if there is no room for them.
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
   * Makes a piece when there is room for one, and charges the budget with it.
   *
   * @param read gets what the piece is made of; many may read at the same time.
   * @param make at once makes the piece: it can be several times as long as what was read.
   * @returns null if there is nothing to send, or if the signal came first.
   */
  async piece<T>(
    signal: AbortSignal,
    read: () => Promise<T>,
    make: (read: T) => Uint8Array | null,
  ): Promise<Uint8Array | null> {
    const { budget } = this;
    while (!budget.hasRoom(PIECE_BYTES)) {
      if (signal.aborted) return null;
      await Bun.sleep(ROOM_LOOK_MS);
    }
    budget.add(PIECE_BYTES);
    try {
      const what = await read();
      // Others may have made long pieces since.
      while (budget.used > budget.limit && budget.used > PIECE_BYTES) {
        if (signal.aborted) return null;
        await Bun.sleep(ROOM_LOOK_MS);
      }
      const piece = make(what);
      budget.add(piece?.length ?? 0);
      return piece;
    } finally {
      budget.give(PIECE_BYTES);
    }
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

/** One answer on its way. */
class AnswerStream {
  readonly #source: AnswerSource;
  /** Gets the bytes of each piece back; null: the source sees to that. */
  readonly #budget: MemoryBudget | null;
  readonly #onEnd: () => void;
  #charged = 0;
  #acknowledged: number | null = null;
  #ended = false;
  /** When the connection was last given a piece, or last moved; infinity while one is made. */
  waitsSince = performance.now();

  constructor(source: AnswerSource, budget: MemoryBudget | null, onEnd: () => void) {
    this.#source = source;
    this.#budget = budget;
    this.#onEnd = onEnd;
  }

  /** Without a queue of its own, so that a piece is made only when the connection takes one. */
  readable(): ReadableStream<Uint8Array> {
    return new ReadableStream(
      { pull: (controller) => this.#pull(controller), cancel: () => this.end() },
      { highWaterMark: 0 },
    );
  }

  /**
   * Tells what the client's kernel has confirmed.
   *
   * @returns false if that is no more than at the last look, or unknown.
   */
  advanced(acknowledged: number | null): boolean {
    if (acknowledged === null || acknowledged === this.#acknowledged) return false;
    // The first look does not tell what happened since the last piece.
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
      // Not closed: what was cut off must not look like a whole answer.
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

/** Other requests, timers and heartbeats come first. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
