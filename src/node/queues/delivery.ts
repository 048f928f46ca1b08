import type { ReceivedMessage } from "../queue-api.ts";
import type { QueueRecord } from "./records.ts";

/** A record that was given out. */
export class Delivery implements ReceivedMessage {
  readonly #record: QueueRecord;
  readonly attempt: number;
  readonly receipt: string;

  constructor(record: QueueRecord, attempt: number, receipt: string) {
    this.#record = record;
    this.attempt = attempt;
    this.receipt = receipt;
  }

  get partition(): number {
    return this.#record.partition;
  }

  get offset(): number {
    return this.#record.offset;
  }

  get timestampMs(): number {
    return this.#record.timestampMs;
  }

  get key(): Uint8Array | null {
    return this.#record.key;
  }

  get value(): Uint8Array {
    return this.#record.value;
  }

  get headers(): Uint8Array {
    return this.#record.headers;
  }
}
