import { feature as faultPoint } from "bun:bundle";
import { ackMessages, type Settled } from "../../queue/commands/settle.ts";
import type { LeaseRef } from "../../queue/find.ts";
import type { Rejected } from "../api.ts";
import type { QueueReject, Settlement } from "../queue-api.ts";
import type { Commander } from "../writes/commander.ts";

/** Deliveries of one command. */
const LEASES_MAX = 10_000;
const COMMAND_BYTES = 256;
const LEASE_BYTES = 16;

export type AckOutcome = readonly Settlement[] | Rejected<QueueReject>;
type Request = { readonly count: number; readonly done: (outcome: AckOutcome) => void };

/** Acknowledgements of one queue that share a command: those that arrive while an entry is written. */
export class Acks {
  readonly #queueId: number;
  #leases: LeaseRef[] = [];
  #requests: Request[] = [];

  constructor(queueId: number) {
    this.#queueId = queueId;
  }

  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  get isFull(): boolean {
    return this.#leases.length >= LEASES_MAX;
  }

  /** `propose` or `reject` must be called later. @param done is called once and must not throw. */
  add(leases: readonly LeaseRef[], done: (outcome: AckOutcome) => void): void {
    for (const lease of leases) this.#leases.push(lease);
    this.#requests.push({ count: leases.length, done });
  }

  /** One command for all of them. */
  propose(commander: Commander): void {
    const leases = this.#leases;
    const requests = this.#requests;
    if (requests.length === 0) return;
    this.#leases = [];
    this.#requests = [];
    commander.start(
      {
        kind: ackMessages,
        fields: { queueId: this.#queueId, leases },
        bytes: COMMAND_BYTES + leases.length * LEASE_BYTES,
        done: ({ settled }) => settled,
      },
      (outcome) => {
        if ("code" in outcome) for (const { done } of requests) done(outcome);
        else answer(requests, outcome);
      },
    );
  }

  reject(code: QueueReject): void {
    this.#leases = [];
    for (const { done } of this.#requests.splice(0)) done({ ok: false, code });
  }
}

/** Gives each request its part of the results. */
function answer(requests: readonly Request[], settled: Settled): void {
  const results = settled.map(settlementOf);
  let at = 0;
  for (const { count, done } of requests) {
    done(results.slice(at, at + count));
    if (!faultPoint("acks-get-the-results-of-others")) at += count;
  }
}

export const settlementOf = (settled: Settled[number]): Settlement =>
  typeof settled === "string" ? settled : null;
