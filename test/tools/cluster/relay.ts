/** One proxied connection: two directions, each with its own weather. */
import type { Socket } from "bun";

/** How bytes of one direction fare at this moment. */
export type Weather = {
  /** Nothing passes; what comes is kept, for the network may only be slow. */
  readonly blocked: boolean;
  readonly delayMs: number;
};

/** More than this is not kept: the connection breaks instead. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;

export class Direction {
  readonly #weather: () => Weather;
  readonly #breakAll: () => void;
  #target: Socket | null = null;
  #queue: { readonly bytes: Uint8Array; readonly due: number }[] = [];
  #keptBytes = 0;
  #lastDue = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #cutNext = false;
  #ended = false;

  constructor(weather: () => Weather, breakAll: () => void) {
    this.#weather = weather;
    this.#breakAll = breakAll;
  }

  /** From now on bytes have somewhere to go. */
  open(target: Socket): void {
    this.#target = target;
    this.pump();
  }

  /** The next bytes are sent by half, and then the connection breaks. */
  cutNext(): void {
    this.#cutNext = true;
  }

  push(chunk: Uint8Array): void {
    const now = performance.now();
    this.#lastDue = Math.max(this.#lastDue, now + this.#weather().delayMs);
    this.#queue.push({ bytes: Uint8Array.from(chunk), due: this.#lastDue });
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > KEPT_BYTES_MAX) this.#breakAll();
    else this.pump();
  }

  end(): void {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#queue = [];
  }

  /** Sends what is due; called again when the weather or the socket allows more. */
  pump(): void {
    if (this.#ended || this.#target === null || this.#weather().blocked) return;
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const waitMs = first.due - performance.now();
      if (waitMs > 0) {
        this.#later(waitMs);
        return;
      }
      if (this.#cutNext) {
        this.#target.write(first.bytes.subarray(0, first.bytes.length >> 1));
        this.#breakAll();
        return;
      }
      const written = Math.max(0, this.#target.write(first.bytes));
      this.#keptBytes -= written;
      if (written < first.bytes.length) {
        this.#queue[0] = { bytes: first.bytes.subarray(written), due: first.due };
        return; // The socket says when it takes more.
      }
      this.#queue.shift();
    }
  }

  #later(waitMs: number): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.pump();
    }, waitMs);
  }
}

export class Relay {
  readonly from: string;
  readonly to: string;
  readonly forward: Direction;
  readonly backward: Direction;
  readonly #onEnd: () => void;
  readonly #accepted: Socket;
  #dialled: Socket | null = null;
  #isHalfOpen = false;

  constructor(options: {
    readonly from: string;
    readonly to: string;
    readonly accepted: Socket;
    readonly weather: (from: string, to: string) => Weather;
    readonly onEnd: () => void;
  }) {
    const { from, to, accepted, weather, onEnd } = options;
    this.from = from;
    this.to = to;
    this.#accepted = accepted;
    this.#onEnd = onEnd;
    const end = () => this.end();
    this.forward = new Direction(() => weather(from, to), end);
    this.backward = new Direction(() => weather(to, from), end);
    this.backward.open(accepted);
  }

  connected(socket: Socket): void {
    this.#dialled = socket;
    this.forward.open(socket);
  }

  pump(): void {
    this.forward.pump();
    this.backward.pump();
  }

  /** One side is told that it ended, the other goes on waiting. */
  halfOpen(): void {
    this.#isHalfOpen = true;
    this.backward.end();
    this.#accepted.terminate();
  }

  get isHalfOpen(): boolean {
    return this.#isHalfOpen;
  }

  /** The side that dialled is gone; half open, the other is not told. */
  sourceEnded(): void {
    if (!this.#isHalfOpen) this.end();
  }

  end(): void {
    this.forward.end();
    this.backward.end();
    this.#accepted.terminate();
    this.#dialled?.terminate();
    this.#onEnd();
  }
}
