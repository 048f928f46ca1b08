import { deleteStream } from "./lifecycle.ts";
import { type DurableContext, expiryOf, isExpired } from "./state.ts";
import { endLease } from "./subscriptions/wakes.ts";

/**
 * Deletes streams whose time is over, and ends leases of subscriptions.
 *
 * @param max maximum number of both.
 * @returns the number of both.
 */
export function expireDurable(context: DurableContext, max: number): number {
  const { durable, now } = context;
  let count = 0;
  while (count < max) {
    const due = durable.due.take(now);
    if (due === null) break;
    count++;
    if (due.id === 1) {
      endLease(context, due.owner);
      continue;
    }
    const stream = durable.byId.get(due.owner);
    if (stream === undefined || stream.deleted) continue;
    if (isExpired(stream, now)) deleteStream(context, stream);
    else durable.due.set(due, expiryOf(stream));
  }
  return count;
}
