import type { WebhookAttempt } from "../webhook-api.ts";

/** Attempts of one webhook, and of all webhooks together, that are remembered. */
const ATTEMPTS_MAX = 100;
const ALL_ATTEMPTS_MAX = 5_000;

/**
 * The last attempts of each webhook, as far as this leader has made them. They are not replicated: an
 * entry for every answer of a receiver would cost as much as the record itself.
 */
export class DeliveryLog {
  readonly #byQueue = new Map<number, WebhookAttempt[]>();
  #size = 0;

  add(queueId: number, attempt: WebhookAttempt): void {
    const attempts = this.#byQueue.get(queueId) ?? [];
    // The webhook with the newest attempt comes last.
    this.#byQueue.delete(queueId);
    this.#byQueue.set(queueId, attempts);
    attempts.push(attempt);
    this.#size++;
    if (attempts.length > ATTEMPTS_MAX) this.#drop(queueId, attempts);
    if (this.#size > ALL_ATTEMPTS_MAX) {
      const [oldest] = this.#byQueue;
      if (oldest !== undefined) this.#drop(...oldest);
    }
  }

  /** The newest first. */
  of(queueId: number): readonly WebhookAttempt[] {
    return this.#byQueue.get(queueId)?.toReversed() ?? [];
  }

  forget(queueId: number): void {
    this.#size -= this.#byQueue.get(queueId)?.length ?? 0;
    this.#byQueue.delete(queueId);
  }

  clear(): void {
    this.#byQueue.clear();
    this.#size = 0;
  }

  #drop(queueId: number, attempts: WebhookAttempt[]): void {
    attempts.shift();
    this.#size--;
    if (attempts.length === 0) this.#byQueue.delete(queueId);
  }
}
