import { feature as faultPoint } from "bun:bundle";
import type { NodeId } from "../../lib/ids.ts";
import type { Logger } from "../../metrics/log.ts";
import type { Core } from "../../raft/core.ts";
import { after, before, minIndex } from "../../raft/indexes.ts";
import type { LogIndex } from "../../raft/types.ts";
import type { Journal } from "../../storage/journal/journal.ts";

/** The peers for which journal is retained that no checkpoint needs. */
export type RetainedFor = "peers" | "reachable peers" | "nobody";

export type JournalRetentionOptions = {
  readonly core: Pick<Core, "neededFrom">;
  readonly journal: Pick<Journal, "bytesFrom">;
  /** Maximum bytes of journal that are retained for peers, counted from its end. */
  readonly bytesMax: number;
  /** Approximate bytes of a snapshot for a peer that lacks everything. */
  readonly snapshotBytes: () => number;
  /** `spareBytes` is the free space of the disk above its reserve. */
  readonly disk: { readonly spareBytes: number };
  readonly peers: { isReachable(peer: NodeId): boolean };
  readonly log: Logger;
};

/**
 * Decides how much of a leader's journal is retained for lagging peers. Nothing is retained for a
 * peer that lags by more than the limit: it gets a snapshot, and the entries after it are retained.
 */
export class JournalRetention {
  readonly #options: JournalRetentionOptions;
  /** Retained bytes that no checkpoint needed at the last call of `bound`. */
  retainedBytes = 0;

  constructor(options: JournalRetentionOptions) {
    this.#options = options;
  }

  /**
   * @param upTo the last entry that no checkpoint needs.
   * @returns the last entry that neither a checkpoint nor a peer needs.
   */
  bound(upTo: LogIndex, keptFor: RetainedFor): LogIndex {
    const { core, journal, log } = this.#options;
    const needed = [...core.neededFrom()];
    const lagging = needed.filter(([peer, from]) => from <= upTo && this.#counts(peer, keptFor));
    this.retainedBytes = 0;
    if (lagging.length === 0) return upTo;
    const ownBytes = journal.bytesFrom(after(upTo));
    const max = faultPoint("journal-kept-without-limit")
      ? Number.MAX_SAFE_INTEGER
      : this.#bytesMax(ownBytes);
    const sized = lagging.map(([peer, from]) => ({ peer, from, bytes: journal.bytesFrom(from) }));
    const kept = sized.filter(({ bytes }) => bytes <= max);
    const first = kept.reduce((least, { from }) => minIndex(least, from), after(upTo));
    for (const { peer, from, bytes } of sized) {
      if (from < first)
        log.info("peer lags too far behind, it will get a snapshot", { peer, bytes });
    }
    this.retainedBytes = journal.bytesFrom(first) - ownBytes;
    return before(first);
  }

  #bytesMax(ownBytes: number): number {
    const { bytesMax, snapshotBytes, disk } = this.#options;
    return Math.min(bytesMax, snapshotBytes(), ownBytes + disk.spareBytes);
  }

  #counts(peer: NodeId, keptFor: RetainedFor): boolean {
    if (keptFor === "peers") return true;
    return keptFor === "reachable peers" && this.#options.peers.isReachable(peer);
  }
}
