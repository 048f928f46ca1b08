/** The requests that the receiver of a webhook got, and the rules that they must keep. */

import { createHmac } from "node:crypto";
import { broken, offsetOf, partitionOf } from "../queue/ledger-rules.ts";

/** How far a record must be finished before another one is sent. */
export type Order = "none" | "key" | "partition";

/** A request of a leader, when it is sent. Times are those of the simulation. */
export type Sent = {
  /** `partition/offset` */
  readonly place: string;
  readonly key: string;
  readonly attempt: number;
  readonly id: string;
  /** The term in which the node leads, as far as it knows. */
  readonly term: number;
  readonly at: number;
};
export type Signed = {
  readonly id: string;
  readonly timestamp: string;
  readonly signature: string;
  readonly body: Uint8Array;
};
/** A record of the topic, and whether the filter lets it pass. */
export type Row = { readonly place: string; readonly key: string; readonly passes: boolean };
export type Buried = { readonly place: string; readonly attempts: number };
export type Counts = {
  readonly acked: number;
  readonly dead: number;
  readonly filtered: number;
};

/** A record as the receiver knows it. */
type Seen = {
  readonly id: string;
  readonly sent: Sent[];
  /** When the receiver first answered with 2xx. */
  okAt: number;
};
/** A pause that was answered and whose end nobody has asked for. */
type Pause = { readonly term: number; readonly since: number };

export class WebhookLedger {
  readonly name: string;
  readonly #maxDeliveries: number;
  readonly #order: Order;
  readonly #seen = new Map<string, Seen>();
  readonly #ids = new Map<string, string>();
  readonly #secrets: string[] = [];
  /** Rotations whose answer was lost: the secret of one may sign. */
  #unknownSecrets = 0;
  #pause: Pause | null = null;
  deliveries = 0;

  constructor(name: string, maxDeliveries: number, order: Order) {
    this.name = name;
    this.#maxDeliveries = maxDeliveries;
    this.#order = order;
  }

  /** Records that were sent more than once. */
  get repeated(): number {
    return [...this.#seen.values()].filter(({ sent }) => sent.length > 1).length;
  }

  /** A leader sends a request. */
  sent(sent: Sent): void {
    const { place, attempt, id, term } = sent;
    const what = `${this.name} ${place} attempt ${attempt}`;
    if (attempt < 1 || attempt > this.#maxDeliveries) broken(`${what} is not an attempt`);
    if (this.#pause !== null && term >= this.#pause.term) {
      broken(`${what} was sent at ${sent.at} while paused since ${this.#pause.since}`);
    }
    const seen = this.#seen.get(place) ?? { id, sent: [], okAt: Number.POSITIVE_INFINITY };
    if (seen.id !== id) broken(`${what} has the id ${id}, and had ${seen.id}`);
    const owner = this.#ids.get(id) ?? place;
    if (owner !== place) broken(`${what} has the id of ${owner}`);
    for (const before of seen.sent) {
      const isHigher = attempt > before.attempt;
      // A leader that was stopped sends what it leased when it goes on, maybe after its successor.
      if (term >= before.term ? !isHigher : attempt >= before.attempt) {
        broken(
          `${what} of term ${term} was sent after attempt ${before.attempt} of ${before.term}`,
        );
      }
    }
    this.#ids.set(id, place);
    this.#seen.set(place, seen);
    seen.sent.push(sent);
    this.deliveries++;
  }

  /** The receiver has answered a request of this place with 2xx. */
  answered(place: string, at: number): void {
    const seen = this.#seen.get(place);
    if (seen !== undefined) seen.okAt = Math.min(seen.okAt, at);
  }

  /** A rotation is asked for. Until its answer is known, requests may have the new secret or not. */
  rotating(): void {
    this.#unknownSecrets++;
  }

  /** The answer to a rotation, unless it was lost. @param secret null: the rotation was refused. */
  rotated(secret: string | null): void {
    this.#unknownSecrets--;
    if (secret !== null) this.#secrets.push(secret);
  }

  /** @param keepsFormer false if a former secret may have ended. */
  verify({ id, timestamp, signature, body }: Signed, keepsFormer: boolean): void {
    // The former secret signs too, so one that is not known hides nothing yet.
    if (this.#secrets.length === 0 || this.#unknownSecrets > (keepsFormer ? 1 : 0)) return;
    const given = signature.split(" ");
    const isOf = (secret: string): boolean => {
      const key = Buffer.from(secret.replace("whsec_", ""), "base64");
      const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body);
      return given.includes(`v1,${mac.digest("base64")}`);
    };
    if (!this.#secrets.some(isOf)) broken(`${this.name} ${id} has no signature of a known secret`);
  }

  /** A pause was answered by the leader of a term. */
  paused(term: number, at: number): void {
    this.#pause = { term, since: at };
  }

  /** Somebody asks for the end of a pause. */
  resuming(): void {
    this.#pause = null;
  }

  /** @param rows all records of the topic, in any order. */
  finish(rows: readonly Row[], dead: readonly Buried[], counts: Counts): void {
    const buried = new Map(dead.map(({ place, attempts }) => [place, attempts]));
    if (buried.size < dead.length) broken(`${this.name}: a record is a dead letter twice`);
    if (counts.dead !== dead.length) {
      broken(`${this.name}: ${counts.dead} are dead, ${dead.length} dead letters`);
    }
    const passing = rows.filter(({ passes }) => passes);
    const filtered = rows.length - passing.length;
    if (counts.filtered !== filtered) {
      broken(`${this.name}: ${counts.filtered} were left out, ${filtered} do not pass`);
    }
    if (counts.acked !== passing.length - dead.length) {
      broken(
        `${this.name}: ${counts.acked} delivered and ${dead.length} dead of ${passing.length}`,
      );
    }
    const known = new Map(rows.map((row) => [row.place, row]));
    for (const place of this.#seen.keys()) {
      if (known.get(place)?.passes !== true) broken(`${this.name} ${place} must not be sent`);
    }
    for (const { place } of passing) this.#checkEnd(place, buried.get(place));
    if (this.#order !== "none") this.#checkOrder(passing, buried);
  }

  /** @param attempts of its dead letter. */
  #checkEnd(place: string, attempts: number | undefined): void {
    const seen = this.#seen.get(place);
    if (attempts === undefined) {
      if (seen === undefined || !Number.isFinite(seen.okAt)) {
        broken(`${this.name} ${place} was never answered with 2xx, and is no dead letter`);
      }
    } else if (attempts !== this.#maxDeliveries) {
      broken(`${this.name} ${place} is a dead letter after ${attempts} attempts`);
    }
  }

  /** A record is first sent when all before it are finished. */
  #checkOrder(rows: readonly Row[], dead: ReadonlyMap<string, number>): void {
    const lines = Map.groupBy(rows, ({ place, key }) =>
      this.#order === "key" ? `${partitionOf(place)} ${key}` : partitionOf(place),
    );
    for (const line of lines.values()) {
      const inOrder = line.map(({ place }) => place).sort((a, b) => offsetOf(a) - offsetOf(b));
      let last = "";
      let finishedAt = Number.NEGATIVE_INFINITY;
      for (const place of inOrder) {
        const { sent = [], okAt = 0 } = this.#seen.get(place) ?? {};
        const firstAt = Math.min(...sent.map(({ at }) => at));
        if (firstAt < finishedAt)
          broken(`${this.name} ${place} was sent before ${last} was finished`);
        // It is not known when a dead letter was put aside.
        if (dead.has(place) || okAt <= finishedAt) continue;
        finishedAt = okAt;
        last = place;
      }
    }
  }
}
