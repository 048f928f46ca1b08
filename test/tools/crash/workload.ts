import type { Random } from "../random.ts";
import type { Client } from "./client.ts";
import type { Acknowledged } from "./model.ts";

export const TOPIC = "crash";
export const PARTITIONS = 4;

/** Clients that write until the server is gone or `stopped()`; what is acknowledged is noted. */
export class Workload {
  readonly #client: Client;
  readonly #model: Acknowledged;
  readonly #random: Random;
  readonly #label: string;
  #sequence = 0;

  constructor(client: Client, model: Acknowledged, random: Random, label: string) {
    this.#client = client;
    this.#model = model;
    this.#random = random;
    this.#label = label;
  }

  async run(writers: number, stopped: () => boolean): Promise<void> {
    await Promise.all(
      Array.from({ length: writers }, async () => {
        while (!stopped() && (await this.#once()));
      }),
    );
  }

  /** @returns false once the server is gone. */
  #once(): Promise<boolean> {
    const kind = this.#random.below(20);
    if (kind < 8) return this.#produce();
    if (kind < 12) return this.#produceMany();
    if (kind < 14) return this.#produceOnce();
    if (kind < 16) return this.#commit();
    if (kind < 19) return this.#put();
    return this.#deleteBefore();
  }

  #value(): string {
    const filler = "x".repeat(this.#random.below(this.#random.below(40) === 0 ? 30_000 : 100));
    return `${this.#label}-${this.#sequence++}-${filler}`;
  }

  async #produce(): Promise<boolean> {
    const value = this.#value();
    const partition = this.#random.below(PARTITIONS);
    const path = `/broker/topics/${TOPIC}/produce?partition=${partition}`;
    const answer = await this.#client.send("POST", path, value);
    if (answer?.status !== 200) return this.#lost([value], answer !== null);
    this.#model.addRecord(partition, answer.body["offset"] as number, value);
    return true;
  }

  async #produceMany(): Promise<boolean> {
    const values = Array.from({ length: 1 + this.#random.below(60) }, () => this.#value());
    const partition = this.#random.below(PARTITIONS);
    const path = `/broker/topics/${TOPIC}/produce-ndjson?partition=${partition}`;
    const answer = await this.#client.send("POST", path, values.join("\n"));
    if (answer?.status !== 200) return this.#lost(values, answer !== null);
    const first = answer.body["first_offset"] as number;
    for (const [i, value] of values.entries()) this.#model.addRecord(partition, first + i, value);
    return true;
  }

  /** Writes with a key, sometimes twice; both answers must name one offset. */
  async #produceOnce(): Promise<boolean> {
    const value = this.#value();
    const partition = this.#random.below(PARTITIONS);
    const key = `${this.#label}-key-${this.#sequence++}`;
    const path = `/broker/topics/${TOPIC}/produce?partition=${partition}&idempotency_key=${key}`;
    const answers = await Promise.all([
      this.#client.send("POST", path, value),
      this.#random.below(2) === 0 ? this.#client.send("POST", path, value) : null,
    ]);
    const offsets = answers.filter((a) => a?.status === 200).map((a) => a?.body["offset"]);
    if (new Set(offsets).size > 1) throw new Error(`key ${key} was stored at ${offsets}`);
    const [offset] = offsets;
    if (offset === undefined) return this.#lost([value], answers[0] !== null);
    this.#model.addRecord(partition, offset as number, value);
    this.#model.keys.set(key, { partition, offset: offset as number, value });
    return answers[0] !== null;
  }

  async #commit(): Promise<boolean> {
    const partition = this.#random.below(PARTITIONS);
    const group = `g${this.#random.below(3)}`;
    const end = this.#model.end(partition);
    const offset = this.#random.below(end + 1);
    const body = JSON.stringify({ topic: TOPIC, group, partition, offset });
    const answer = await this.#client.send("POST", "/broker/commit", body);
    if (answer?.status !== 200) return answer !== null;
    const key = `${group}/${partition}`;
    const before = this.#model.commits.get(key) ?? 0;
    this.#model.commits.set(key, Math.max(before, offset));
    return true;
  }

  async #put(): Promise<boolean> {
    // One writer a key at a time: the label and a slot that is given back after the answer.
    const key = `k${this.#sequence++ % 50}-${this.#random.below(1_000_000)}`;
    const value = this.#value();
    const answer = await this.#client.send("POST", `/kv/crash/${key}`, value);
    if (answer?.status !== 200) {
      this.#model.kv.get(key)?.unknown.add(value);
      return answer !== null;
    }
    const cas = answer.body["cas"] as number;
    this.#model.kv.set(key, { value, cas, unknown: new Set() });
    return true;
  }

  async #deleteBefore(): Promise<boolean> {
    const partition = this.#random.below(PARTITIONS);
    const end = this.#model.end(partition);
    const floor = this.#model.floors.get(partition) ?? 0;
    // Keeps most: a record below the floor can no longer be checked.
    const before = floor + this.#random.below(Math.max(1, Math.min(50, end - floor)));
    const body = JSON.stringify({ topic: TOPIC, partition, before_offset: before });
    // Noted before the answer: an unanswered deletion may have happened.
    this.#model.floors.set(partition, Math.max(floor, before));
    const answer = await this.#client.send("POST", "/broker/delete-before", body);
    if (answer?.status === 200) {
      const acked = this.#model.ackedFloors.get(partition) ?? 0;
      this.#model.ackedFloors.set(partition, Math.max(acked, before));
    }
    return answer !== null;
  }

  #lost(values: readonly string[], alive: boolean): boolean {
    for (const value of values) this.#model.unknown.add(value);
    return alive;
  }
}
