import type { ReceivedMessage } from "../queue-api.ts";
import { receiptOf } from "./receipts.ts";
import type { QueueRecord } from "./records.ts";

/** A record that was given out. */
export class Delivery implements ReceivedMessage {
  readonly record: QueueRecord;
  readonly queueId: number;
  readonly attempt: number;

  constructor(record: QueueRecord, queueId: number, attempt: number) {
    this.record = record;
    this.queueId = queueId;
    this.attempt = attempt;
  }

  get partition(): number {
    return this.record.partition;
  }

  get offset(): number {
    return this.record.offset;
  }

  get timestampMs(): number {
    return this.record.timestampMs;
  }

  get key(): Uint8Array | null {
    return this.record.key;
  }

  get value(): Uint8Array {
    return this.record.value;
  }

  get headers(): Uint8Array {
    return this.record.headers;
  }

  get receipt(): string {
    return receiptOf(this.queueId, this);
  }
}
