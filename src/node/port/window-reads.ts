/** Windows of files that the thread of a caller reads for the node's side. */
import { type ReadWindow, verifiedEnd } from "../../storage/partitions/read-threads.ts";
import { ENTRY_HEAD_BYTES, WINDOW_READ_BYTES_MAX } from "./codec.ts";
import { type Inbox, KIND, type Outbox } from "./message.ts";
import type { RingLink } from "./ring-link.ts";
import type { GivenBlocks, NamedBlocks } from "./shared-pages.ts";

/** The node's side: says what to read, and keeps the file open until it was read. */
export class WindowCalls {
  readonly #outbox: Outbox;
  readonly #blocks: NamedBlocks;
  readonly #waiting = new Map<number, (endOffset: number | null) => void>();
  #lastId = 0;

  constructor(outbox: Outbox, blocks: NamedBlocks) {
    this.#outbox = outbox;
    this.#blocks = blocks;
  }

  readonly read: ReadWindow = ({ descriptor, position, bytes, seed, offset }) => {
    const block = this.#blocks.rangesOf([bytes])?.[0]?.block;
    if (block === undefined) return Promise.resolve(null);
    return new Promise((resolve) => {
      const id = ++this.#lastId;
      this.#waiting.set(id, resolve);
      const { items } = this.#outbox;
      items.push(KIND.readWindow, id, block, descriptor, position, seed, offset);
    });
  };

  /** @param endOffset null: the node's side has to read. */
  ended(id: number, endOffset: number | null): void {
    this.#waiting.get(id)?.(endOffset);
    this.#waiting.delete(id);
  }

  /** Waits for no read any more. */
  end(): void {
    for (const id of [...this.#waiting.keys()]) this.ended(id, null);
  }
}

/**
 * Reads from an open file into `bytes`, and resolves to the number of bytes that were read. Rejects if
 * the file cannot be read.
 */
export type ReadOpenFile = (
  descriptor: number,
  bytes: Uint8Array,
  position: number,
) => Promise<number>;

export type WindowWorkParts = {
  readonly readFile: ReadOpenFile;
  readonly blocks: GivenBlocks;
  readonly outbox: Outbox;
  readonly rings: RingLink | null;
};

/** The caller's side: reads and verifies what the node's side asks for. */
export class WindowWork {
  readonly #parts: WindowWorkParts;

  constructor(parts: WindowWorkParts) {
    this.#parts = parts;
  }

  /** Takes a read from a message. */
  take(id: number, inbox: Inbox): void {
    const bytes = this.#parts.blocks.bytesOf(inbox.next<number>());
    const descriptor = inbox.next<number>();
    const position = inbox.next<number>();
    const seed = inbox.next<number>();
    const offset = inbox.next<number>();
    const read = this.#parts.readFile(descriptor, bytes, position);
    read.then(
      (length) => {
        const isComplete = length === bytes.length;
        this.#answer(id, isComplete ? verifiedEnd(bytes, seed, offset) : null);
      },
      () => this.#answer(id, null),
    );
  }

  #answer(id: number, endOffset: number | null): void {
    const { rings, outbox } = this.#parts;
    const entry = rings?.reserve(ENTRY_HEAD_BYTES + WINDOW_READ_BYTES_MAX) ?? "long";
    if (entry === "long" || entry === "full") {
      outbox.items.push(KIND.windowRead, id, endOffset);
      return;
    }
    entry.putU8(KIND.windowRead);
    entry.putNumber(id);
    entry.putNumber(endOffset);
    rings?.publish();
  }
}
