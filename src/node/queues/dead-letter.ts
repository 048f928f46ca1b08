/** A record that was put aside: as it was, with headers that say why. */
import type { LeaseRef } from "../../queue/find.ts";
import { type EncodedRecords, encodeRecord } from "../../record/batch-builder.ts";
import { decodeHeaders, encodeHeaders, type Header } from "../../record/headers.ts";
import type { QueueRecord } from "./records.ts";

export const DEAD_QUEUE = "dead-queue";
export const DEAD_PARTITION = "dead-partition";
const DEAD_REASON = "dead-reason";
const DEAD_ATTEMPTS = "dead-attempts";
const DEAD_TOPIC = "dead-topic";
const DEAD_OFFSET = "dead-offset";
const DEAD_AT = "dead-at-ms";
const OWN: ReadonlySet<string> = new Set([
  ...[DEAD_REASON, DEAD_ATTEMPTS, DEAD_QUEUE, DEAD_TOPIC],
  ...[DEAD_PARTITION, DEAD_OFFSET, DEAD_AT],
]);
/** Why a record was put aside without a reason of its own. */
export const EXHAUSTED = "max_deliveries";
export const REJECTED = "rejected";

export type DeadLetter = {
  readonly queue: string;
  readonly topic: string;
  readonly reason: string;
  readonly atMs: number;
  readonly lease: LeaseRef;
};

export function encodeDeadLetter(record: QueueRecord, dead: DeadLetter): EncodedRecords {
  const { partition, offset, attempt } = dead.lease;
  const own: Header[] = [
    { name: DEAD_REASON, value: dead.reason },
    { name: DEAD_ATTEMPTS, value: String(attempt) },
    { name: DEAD_QUEUE, value: dead.queue },
    { name: DEAD_TOPIC, value: dead.topic },
    { name: DEAD_PARTITION, value: String(partition) },
    { name: DEAD_OFFSET, value: String(offset) },
    { name: DEAD_AT, value: String(dead.atMs) },
  ];
  const headers = encodeHeaders([...headersOf(record).filter(isNotDead), ...own]);
  return encodeRecord(record.key, record.value, headers);
}

export const headersOf = ({ headers }: QueueRecord): Header[] =>
  decodeHeaders(headers, 0, headers.length);

/** False for the headers that a dead letter has in addition. */
export const isNotDead = ({ name }: Header): boolean => !OWN.has(name);
