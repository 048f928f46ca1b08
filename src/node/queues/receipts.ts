import type { LeaseRef } from "../../queue/find.ts";

const RECEIPT = /^q([1-9]\d{0,14})-(\d{1,4})-(\d{1,16})-([1-9]\d{0,9})$/;

/** A receipt names a delivery: the queue, the record and the attempt. */
export const receiptOf = (queueId: number, { partition, offset, attempt }: LeaseRef): string =>
  `q${queueId}-${partition}-${offset}-${attempt}`;

/** @returns null if it is not a receipt of this queue. */
export function leaseOfReceipt(queueId: number, receipt: string): LeaseRef | null {
  const [, queue, partition, offset, attempt] = RECEIPT.exec(receipt) ?? [];
  if (Number(queue) !== queueId || !Number.isSafeInteger(Number(offset))) return null;
  return { partition: Number(partition), offset: Number(offset), attempt: Number(attempt) };
}
