import type { LeaseRef } from "../../queue/find.ts";

const [PREFIX, SEPARATOR, ZERO, NINE] = [113, 45, 48, 57];
const SEPARATOR_TEXT = "-";
/** Beyond it, a number is not exact. */
const DIGITS_MAX = 15;

/** A receipt names a delivery: the queue, the record and the attempt. */
export const receiptOf = (queueId: number, { partition, offset, attempt }: LeaseRef): string =>
  `q${queueId}-${partition}-${offset}-${attempt}`;

/** The id of the queue that gave out the receipt. */
export const queueIdOf = (receipt: string): number =>
  numberIn(receipt, 1, receipt.indexOf(SEPARATOR_TEXT));

/** @returns null if it is not a receipt of this queue. */
export function leaseOfReceipt(queueId: number, receipt: string): LeaseRef | null {
  if (receipt.charCodeAt(0) !== PREFIX) return null;
  const ofQueue = endOfNumber(receipt, 1);
  const ofPartition = endOfNumber(receipt, ofQueue + 1);
  const ofOffset = endOfNumber(receipt, ofPartition + 1);
  const ofAttempt = endOfNumber(receipt, ofOffset + 1);
  if (ofAttempt !== receipt.length || numberIn(receipt, 1, ofQueue) !== queueId) return null;
  const attempt = numberIn(receipt, ofOffset + 1, ofAttempt);
  if (attempt === 0) return null;
  return {
    partition: numberIn(receipt, ofQueue + 1, ofPartition),
    offset: numberIn(receipt, ofPartition + 1, ofOffset),
    attempt,
  };
}

/** The number that the digits in `[from, to)` say. It makes no text of them. */
function numberIn(receipt: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) value = value * 10 + (receipt.charCodeAt(at) - ZERO);
  return value;
}

/**
 * @returns the end of the number that begins at `at`; beyond the text if there is none, so that
 *   whoever looks for the next one finds none either.
 */
function endOfNumber(text: string, at: number): number {
  const none = text.length + 1;
  let end = at;
  for (let code = text.charCodeAt(end); code >= ZERO && code <= NINE; code = text.charCodeAt(end)) {
    end++;
  }
  if (end === at || end - at > DIGITS_MAX) return none;
  // A number has one form only.
  if (end - at > 1 && text.charCodeAt(at) === ZERO) return none;
  return end === text.length || text.charCodeAt(end) === SEPARATOR ? end : none;
}
