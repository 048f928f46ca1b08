/** A queue as simple as it can be: a list of records, each with what happened to it. */

import type { Candidate } from "../../../src/queue/commands/receive.ts";
import { backoffOf, LEASE_MS_MAX, type QueueDefinition } from "../../../src/queue/definition.ts";
import type { LeaseError, LeaseRef } from "../../../src/queue/find.ts";

type Record = {
  readonly key: number;
  state: "new" | "leased" | "waiting" | "finished";
  attempts: number;
  /** End of the lease or of the wait. */
  until: number;
};

export class ModelQueue {
  readonly partitions: Record[][];
  definition: QueueDefinition;
  acked = 0;
  dead = 0;
  lost = 0;
  purged = 0;

  constructor(definition: QueueDefinition, partitions: number) {
    this.definition = definition;
    this.partitions = Array.from({ length: partitions }, () => []);
  }

  add(partition: number, key: number): void {
    this.partitions[partition]?.push({ key, state: "new", attempts: 0, until: 0 });
  }

  receive(candidates: readonly Candidate[], visibilityMs: number, now: number): LeaseRef[] {
    const leases: LeaseRef[] = [];
    for (const { partition, offset } of candidates) {
      const record = this.#at(partition, offset);
      if (record === undefined || this.count("leased", now) >= this.definition.maxInFlight)
        continue;
      if (!this.mayGive(partition, offset, now)) continue;
      record.state = "leased";
      record.until = now + visibilityMs;
      record.attempts++;
      leases.push({ partition, offset, attempt: record.attempts });
    }
    return leases;
  }

  mayGive(partition: number, offset: number, now: number): boolean {
    const record = this.#at(partition, offset);
    if (record === undefined || record.state === "finished") return false;
    if (record.state === "new") return !this.#isBlocked(partition, record.key);
    return record.until <= now && record.attempts < this.definition.maxDeliveries;
  }

  #isBlocked(partition: number, key: number): boolean {
    if (this.definition.order === "none" || key === 0) return false;
    const records = this.partitions[partition] ?? [];
    return records.some((each) => each.key === key && isBusy(each));
  }

  ack(ref: LeaseRef, now: number): number | LeaseError {
    return this.#settle(ref, now, (record) => {
      record.state = "finished";
      this.acked++;
      return now;
    });
  }

  nack(ref: LeaseRef, delayMs: number | null, now: number): number | LeaseError {
    return this.#settle(ref, now, (record) => {
      const { definition } = this;
      const isLast = record.attempts >= definition.maxDeliveries;
      record.state = "waiting";
      record.until = now + (isLast ? 0 : (delayMs ?? backoffOf(definition, record.attempts)));
      return record.until;
    });
  }

  extend(ref: LeaseRef, byMs: number, now: number): number | LeaseError {
    return this.#settle(ref, now, (record) => {
      record.until = Math.min(record.until + byMs, now + LEASE_MS_MAX);
      return record.until;
    });
  }

  /** @returns whether the record was put aside. */
  bury(ref: LeaseRef, isLeased: boolean, now: number): null | LeaseError {
    const bury = (record: Record): number => {
      record.state = "finished";
      this.dead++;
      return now;
    };
    if (isLeased) {
      const settled = this.#settle(ref, now, bury);
      return typeof settled === "number" ? null : settled;
    }
    const record = this.#at(ref.partition, ref.offset);
    const isDue = record !== undefined && isBusy(record) && record.until <= now;
    if (!isDue || record.attempts !== ref.attempt) return "lease_expired";
    if (record.attempts < this.definition.maxDeliveries) return "lease_expired";
    bury(record);
    return null;
  }

  purge(): number {
    let purged = 0;
    for (const record of this.partitions.flat()) {
      if (record.state === "finished") continue;
      record.state = "finished";
      purged++;
    }
    this.purged += purged;
    return purged;
  }

  trim(partition: number, before: number): void {
    for (const record of (this.partitions[partition] ?? []).slice(0, before)) {
      if (record.state === "finished") continue;
      record.state = "finished";
      this.lost++;
    }
  }

  low(partition: number): number {
    const records = this.partitions[partition] ?? [];
    const first = records.findIndex(({ state }) => state !== "finished");
    return first < 0 ? records.length : first;
  }

  count(state: "leased" | "waiting", now: number): number {
    return this.partitions.flat().filter((each) => each.state === state && each.until > now).length;
  }

  unfinished(partition: number): number {
    return (this.partitions[partition] ?? []).filter(({ state }) => state !== "finished").length;
  }

  #settle(ref: LeaseRef, now: number, apply: (record: Record) => number): number | LeaseError {
    const record = this.#at(ref.partition, ref.offset);
    if (record === undefined || record.state === "new") return "unknown_receipt";
    if (record.state === "finished") return "lease_expired";
    if (ref.attempt > record.attempts) return "unknown_receipt";
    const isHeld = record.state === "leased" && record.until > now;
    return isHeld && ref.attempt === record.attempts ? apply(record) : "lease_expired";
  }

  #at(partition: number, offset: number): Record | undefined {
    return this.partitions[partition]?.[offset];
  }
}

const isBusy = ({ state }: Record): boolean => state === "leased" || state === "waiting";
