/** The receiver of the webhooks: a machine of its own, which answers, fails and hangs by its seed. */
import type {
  SenderAnswer,
  SenderRequest,
  WebhookSender,
} from "../../../src/env/webhook-sender.ts";
import type { Random } from "../random.ts";
import type { Life } from "./life.ts";
import type { SimClock } from "./sim-clock.ts";

/** Called for each request. */
export interface ReceiverRules {
  /** A node begins to send. */
  sent(node: string, request: SenderRequest): void;
  /** The receiver has answered with 2xx. */
  answered(request: SenderRequest): void;
  /** Something that the seeds are to reach. */
  count(effect: string): void;
}

type Fate = {
  /** The request does not arrive. */
  readonly isLost: boolean;
  /** Null: there is no answer. */
  readonly status: number | null;
  readonly retryAfter: string | null;
  readonly workMs: number;
};

const OK: Fate = { isLost: false, status: 200, retryAfter: null, workMs: 1 };

export class SimReceiver {
  readonly #queue: SimClock;
  readonly #random: Random;
  rules: ReceiverRules | null = null;
  /** Every request arrives and is answered with 200. */
  isCalm = false;

  constructor(queue: SimClock, random: Random) {
    this.#queue = queue;
    this.#random = random;
  }

  /** The way of a process to the receiver. */
  sender(node: string, life: Life): WebhookSender {
    return {
      check: () => null,
      send: (request) => this.#send(node, life, request),
    };
  }

  #send(node: string, life: Life, request: SenderRequest): Promise<SenderAnswer> {
    this.rules?.sent(node, request);
    return new Promise((resolve, reject) => {
      let isOver = false;
      const end = (act: () => void): void => {
        if (isOver) return;
        isOver = true;
        cancel();
        act();
      };
      const cancel = life.after(request.timeoutMs, () =>
        end(() => reject(new Error(`no answer within ${request.timeoutMs} ms`))),
      );
      request.signal?.addEventListener("abort", () => end(() => reject(new Error("aborted"))));
      const fate = this.isCalm ? OK : this.#fate(request.timeoutMs);
      this.#queue.after(this.#travelMs(), () => {
        if (fate.isLost) {
          this.#back(life, () => end(() => reject(new Error("connection refused"))));
          return;
        }
        this.#queue.after(fate.workMs, () => this.#answer(life, request, fate, end, resolve));
      });
    });
  }

  #answer(
    life: Life,
    request: SenderRequest,
    { status, retryAfter }: Fate,
    end: (act: () => void) => void,
    resolve: (answer: SenderAnswer) => void,
  ): void {
    // The receiver has done its work, whether or not anybody hears of it.
    if (status === null || status === 200) this.rules?.answered(request);
    this.rules?.count(`webhook answer ${status ?? "lost"}`);
    if (status === null) return;
    const answer = { status, retryAfter, body: new Uint8Array(0) };
    this.#back(life, () => end(() => resolve(answer)));
  }

  #back(life: Life, act: () => void): void {
    this.#queue.after(this.#travelMs(), () => life.run(act));
  }

  #travelMs(): number {
    return 0.2 + this.#random.below(100) / 50;
  }

  #fate(timeoutMs: number): Fate {
    const random = this.#random;
    const dice = random.below(100);
    const workMs = random.below(6) === 0 ? random.below(timeoutMs) : random.below(20);
    const answer = (status: number | null, retryAfter: string | null = null): Fate => ({
      ...{ status, retryAfter, workMs },
      isLost: false,
    });
    if (dice < 6) return { ...OK, isLost: true };
    if (dice < 12) return answer(null);
    // It answers too late.
    if (dice < 16) return { ...OK, workMs: timeoutMs + random.below(200) };
    if (dice < 24) return answer(500);
    if (dice < 27) return answer(302);
    if (dice < 28) return answer(503, "1");
    if (dice < 29) return answer(429, "0");
    if (dice < 30) return answer(410);
    return answer(200);
  }
}
