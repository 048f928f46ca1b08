/** The answers that workers of a queue got, and the rules that they must keep. */
import { broken, offsetOf, partitionOf } from "./ledger-rules.ts";

/** Times are those of the client: when it asked, and when it had the answer. */
type Delivery = {
  readonly place: string;
  readonly key: string;
  readonly attempt: number;
  readonly askedAt: number;
  readonly toldAt: number;
};
type Ack = { readonly askedAt: number; readonly toldAt: number };
export type DeadLetter = { readonly place: string; readonly attempts: number };

export class JobLedger {
  readonly #maxDeliveries: number;
  readonly #ordersKeys: boolean;
  /** By place and attempt. */
  readonly #given = new Map<string, Delivery>();
  readonly #byKey = new Map<string, Delivery[]>();
  readonly #acked = new Map<string, Ack>();
  /** Acknowledgements whose answer was lost, and rejections: the record may be finished. */
  readonly #uncertain = new Map<string, number>();

  constructor(maxDeliveries: number, ordersKeys: boolean) {
    this.#maxDeliveries = maxDeliveries;
    this.#ordersKeys = ordersKeys;
  }

  get deliveries(): number {
    return this.#given.size;
  }

  get acknowledged(): number {
    return this.#acked.size;
  }

  given(delivery: Delivery): void {
    const { place, attempt, key, askedAt } = delivery;
    const name = `${place} attempt ${attempt}`;
    if (this.#given.has(name)) broken(`${name} was given out twice`);
    if (attempt < 1 || attempt > this.#maxDeliveries) broken(`${name} is not an attempt`);
    const ackedAt = this.#acked.get(place)?.toldAt ?? Number.POSITIVE_INFINITY;
    if (askedAt > ackedAt) broken(`${name} was given out after it was acknowledged`);
    this.#given.set(name, delivery);
    const ofKey = this.#byKey.get(key) ?? [];
    ofKey.push(delivery);
    this.#byKey.set(key, ofKey);
  }

  /** The answer to an acknowledgement that was asked for at `askedAt`. */
  acked(place: string, attempt: number, askedAt: number, toldAt: number): void {
    if (this.#acked.has(place)) broken(`${place} was acknowledged twice`);
    const newer = this.#newestBefore(place, askedAt);
    if (newer > attempt) {
      broken(`the late acknowledgement of ${place} attempt ${attempt} counted: ${newer} was out`);
    }
    this.#acked.set(place, { askedAt, toldAt });
  }

  /** The record may be finished from `askedAt` on. */
  uncertain(place: string, askedAt: number): void {
    const before = this.#uncertain.get(place) ?? Number.POSITIVE_INFINITY;
    this.#uncertain.set(place, Math.min(before, askedAt));
  }

  /** @param dead all dead letters. @param counts of the queue. */
  finish(
    dead: readonly DeadLetter[],
    counts: { readonly acked: number; readonly dead: number },
  ): void {
    const buried = new Map(dead.map(({ place, attempts }) => [place, attempts]));
    if (buried.size < dead.length) broken("a record is a dead letter twice");
    if (counts.dead !== dead.length) broken(`${counts.dead} are dead, ${dead.length} dead letters`);
    for (const [place, attempts] of buried) {
      if (this.#acked.has(place)) broken(`${place} is a dead letter and acknowledged`);
      if (attempts < 1 || attempts > this.#maxDeliveries) {
        broken(`${place} is a dead letter after ${attempts} attempts`);
      }
      const highest = this.#newestBefore(place, Number.POSITIVE_INFINITY);
      if (highest > attempts) broken(`attempts of ${place} fell from ${highest} to ${attempts}`);
      const isRejected = this.#uncertain.has(place);
      if (!isRejected && attempts !== this.#maxDeliveries) {
        broken(`${place} is a dead letter after ${attempts} attempts, and nobody rejected it`);
      }
    }
    if (counts.acked < this.#acked.size) {
      broken(`${this.#acked.size} acknowledgements were answered, ${counts.acked} counted`);
    }
    if (this.#ordersKeys) this.#checkKeys(buried);
  }

  /** The highest attempt whose delivery was known before `askedAt`. */
  #newestBefore(place: string, askedAt: number): number {
    let newest = 0;
    for (let attempt = 1; attempt <= this.#maxDeliveries; attempt++) {
      const delivery = this.#given.get(`${place} attempt ${attempt}`);
      if (delivery !== undefined && delivery.toldAt <= askedAt) newest = attempt;
    }
    return newest;
  }

  /** While a record is known to be leased or to wait, no later one of its key is given out. */
  #checkKeys(dead: ReadonlyMap<string, number>): void {
    for (const [key, deliveries] of this.#byKey) {
      for (const earlier of deliveries) {
        const end = this.#unfinishedUntil(earlier.place, dead);
        for (const later of deliveries) {
          const isLater =
            partitionOf(later.place) === partitionOf(earlier.place) &&
            offsetOf(later.place) > offsetOf(earlier.place);
          if (!isLater || later.askedAt < earlier.toldAt || later.toldAt > end) continue;
          broken(`${later.place} of key ${key} was given out before ${earlier.place} was finished`);
        }
      }
    }
  }

  /** The record was certainly not finished up to this time. */
  #unfinishedUntil(place: string, dead: ReadonlyMap<string, number>): number {
    const acked = this.#acked.get(place);
    // A record that was put aside may have been so as soon as its last lease was over.
    if (acked === undefined || dead.has(place)) return Number.NEGATIVE_INFINITY;
    return Math.min(acked.askedAt, this.#uncertain.get(place) ?? Number.POSITIVE_INFINITY);
  }
}
