/** Outcomes of frequent calls, as the node's side writes them into a ring. */
import { type ByteCursor, textBytesMax } from "../../lib/byte-cursor.ts";
import type {
  ConsumePage,
  KvValue,
  KvWritten,
  NodeApi,
  Produced,
  Rejected,
  WriteAck,
} from "../api.ts";
import {
  ENTRY_HEAD_BYTES,
  KV_WRITTEN_BYTES_MAX,
  kvValueBytesMax,
  PRODUCED_BYTES_MAX,
  pageBytesMax,
  rejectedBytesMax,
  rejectionOf,
  writeKvValue,
  writeKvWritten,
  writePage,
  writeProduced,
  writeRejected,
} from "./codec.ts";
import { KIND, type Kind, type KnownLeader, NO_LEADER_KNOWN } from "./message.ts";
import type { RingLink } from "./ring-link.ts";
import type { NamedBlocks } from "./shared-pages.ts";

/** The leader as the other side was told. */
export class ToldLeader {
  readonly #node: Pick<NodeApi, "leaderUrl" | "forwardsByLink">;
  #told = NO_LEADER_KNOWN;

  constructor(node: Pick<NodeApi, "leaderUrl" | "forwardsByLink">) {
    this.#node = node;
  }

  get isTold(): boolean {
    const { url, byLink } = this.#told;
    return this.#node.leaderUrl() === url && this.#node.forwardsByLink() === byLink;
  }

  /** Returns the leader if it has changed since it was last returned, or null. */
  change(): KnownLeader | null {
    if (this.isTold) return null;
    const version = this.#told.version + 1;
    const url = this.#node.leaderUrl();
    this.#told = { version, url, byLink: this.#node.forwardsByLink() };
    return this.#told;
  }

  get newest(): KnownLeader {
    return this.change() ?? this.#told;
  }
}

/**
 * Each function returns false if the outcome has to go by message: it is too long, or the ring is full.
 * So a full ring delays no outcome and loses none.
 */
export class OutcomeRing {
  readonly #link: RingLink;
  readonly #leader: ToldLeader;
  readonly #blocks: NamedBlocks | null;

  /** @param blocks the shared memory of pages; null: pages go by message. */
  constructor(link: RingLink, leader: ToldLeader, blocks: NamedBlocks | null) {
    this.#link = link;
    this.#leader = leader;
    this.#blocks = blocks;
  }

  produced(id: number, outcome: Produced): boolean {
    const entry = this.#begin(KIND.produced, id, PRODUCED_BYTES_MAX);
    if (entry === null) return false;
    writeProduced(entry, outcome);
    this.#link.publish();
    return true;
  }

  kvWritten(id: number, outcome: KvWritten & WriteAck): boolean {
    const entry = this.#begin(KIND.kvWritten, id, KV_WRITTEN_BYTES_MAX);
    if (entry === null) return false;
    writeKvWritten(entry, outcome);
    this.#link.publish();
    return true;
  }

  kvValue(id: number, outcome: KvValue): boolean {
    const entry = this.#begin(KIND.kvValue, id, kvValueBytesMax(outcome));
    if (entry === null) return false;
    writeKvValue(entry, outcome);
    this.#link.publish();
    return true;
  }

  rejected(id: number, rejected: Rejected): boolean {
    const rejection = rejectionOf(rejected);
    const entry = this.#begin(KIND.rejected, id, rejectedBytesMax(rejection));
    if (entry === null) return false;
    writeRejected(entry, rejection);
    this.#link.publish();
    return true;
  }

  /** The entry names the memory of the page, which both sides share. */
  page(id: number, page: ConsumePage): boolean {
    const ranges = this.#blocks?.rangesOf(page.slices) ?? null;
    if (ranges === null) return false;
    const entry = this.#begin(KIND.page, id, pageBytesMax(ranges));
    if (entry === null) return false;
    writePage(entry, page, ranges);
    this.#link.publish();
    return true;
  }

  #begin(kind: Kind, id: number, bytesMax: number): ByteCursor | null {
    const leader = this.#leader.change();
    // The caller must not see an older leader than the outcome.
    if (leader !== null && !this.#tell(leader)) return null;
    return this.#head(kind, id, bytesMax);
  }

  /** @returns false if there is no room. The next message has the leader. */
  #tell({ version, url, byLink }: KnownLeader): boolean {
    const text = url ?? "";
    const entry = this.#head(KIND.leader, version, 1 + textBytesMax(text));
    if (entry === null) return false;
    entry.putU8(byLink ? 1 : 0);
    entry.putText(text);
    this.#link.publish();
    return true;
  }

  #head(kind: Kind, id: number, bytesMax: number): ByteCursor | null {
    const entry = this.#link.reserve(ENTRY_HEAD_BYTES + bytesMax);
    if (entry === "full" || entry === "long") return null;
    entry.putU8(kind);
    entry.putNumber(id);
    return entry;
  }
}
