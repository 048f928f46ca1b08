/** Outcomes of calls as the thread that called receives them. */
import type { ByteCursor } from "../../lib/byte-cursor.ts";
import type {
  ConsumePage,
  ConsumeReject,
  KvGetOutcome,
  KvPutOutcome,
  ProduceOutcome,
  Result,
} from "../api.ts";
import { readKvValue, readKvWritten, readProduced, readRejected } from "./codec.ts";
import { type Inbox, KIND, type Kind } from "./message.ts";

export type PageOutcome = Result<ConsumePage, ConsumeReject>;

/** Reads an outcome from a message. */
export function readOutcome(kind: Kind, inbox: Inbox): unknown {
  switch (kind) {
    case KIND.produced:
      return producedOf(inbox);
    case KIND.kvWritten:
      return {
        ok: true,
        cas: inbox.next<number>(),
        batchId: inbox.next<number>(),
        synced: inbox.next<boolean | null>(),
        ackedBy: inbox.next<number>(),
      } satisfies KvPutOutcome;
    case KIND.page:
      return pageOf(inbox);
    case KIND.kvValue:
      return {
        ok: true,
        value: inbox.bytes(),
        cas: inbox.next<number>(),
        ttlMs: inbox.next<number>(),
      } satisfies KvGetOutcome;
    case KIND.outcome:
      return inbox.next();
    case KIND.bytes:
      return inbox.bytesOrNull();
    default:
      throw new Error(`the port brought an outcome of the unknown kind ${kind}`);
  }
}

/** Reads an outcome from a ring. */
export function readEntry(kind: number, entry: ByteCursor): unknown {
  switch (kind) {
    case KIND.produced:
      return { ok: true, ...readProduced(entry) } satisfies ProduceOutcome;
    case KIND.kvWritten:
      return { ok: true, ...readKvWritten(entry) } satisfies KvPutOutcome;
    case KIND.kvValue:
      return { ok: true, ...readKvValue(entry) } satisfies KvGetOutcome;
    case KIND.rejected:
      return readRejected(entry);
    default:
      throw new Error(`the ring brought an outcome of the unknown kind ${kind}`);
  }
}

const producedOf = (inbox: Inbox): ProduceOutcome => ({
  ok: true,
  partition: inbox.next<number>(),
  firstOffset: inbox.next<number | null>(),
  count: inbox.next<number>(),
  duplicate: inbox.next<boolean>(),
  payloadMatches: inbox.next<boolean>(),
  committed: inbox.next<boolean>(),
  batchId: inbox.next<number>(),
  synced: inbox.next<boolean | null>(),
  ackedBy: inbox.next<number>(),
  queueUs: inbox.next<number>(),
  syncWaitUs: inbox.next<number>(),
});

function pageOf(inbox: Inbox): PageOutcome {
  const topicId = inbox.next<number>();
  const startOffset = inbox.next<number>();
  const committedOffset = inbox.next<number | null>();
  const lowWatermark = inbox.next<number>();
  const endOffset = inbox.next<number>();
  const place = { offset: inbox.next<number>(), at: inbox.next<number>() };
  const first = place.at < 0 ? null : place;
  const bytes = inbox.bytesOrNull();
  const slices = bytes === null ? [] : [bytes];
  return {
    ok: true,
    slices,
    first,
    topicId,
    startOffset,
    committedOffset,
    lowWatermark,
    endOffset,
  };
}
