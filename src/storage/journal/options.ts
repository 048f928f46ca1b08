import type { Clock } from "../../env/clock.ts";
import type { Disk, DiskFailure } from "../../env/disk.ts";
import type { Entry } from "../../raft/types.ts";
import type { CoveredEnd } from "./remainder.ts";

export type JournalOptions = {
  readonly disk: Disk;
  readonly directory: string;
  /** 32 bits that only this journal uses, so that frames of another journal are refused. */
  readonly identity: number;
  /** @default 32 MiB */
  readonly segmentBytes?: number;
  /** Free bytes to leave for checkpoints and partition logs. @default 64 MiB */
  readonly reserveBytes?: number;
  /** The timer of the idle watermark. Without it only `noteIdle` and `close` write one. */
  readonly clock?: Clock;
  /**
   * For a node that has peers: a damaged journal is cut before the damage instead of refused, and
   * its previous end is recorded in the file `claimed`.
   *
   * @default false
   */
  readonly cutDamaged?: boolean;
  /**
   * The end of the newest intact checkpoint. A journal that must not be cut may be damaged before
   * this point: it then begins after it; see `damagedUpTo`.
   */
  readonly covered?: () => Promise<CoveredEnd | null>;
  /**
   * Called with entries as recovery reads them. They are views of slices that are not reused. An
   * entry whose index is not new replaces that entry and all after it. Entries above the final
   * `lastIndex` are invalid.
   */
  readonly onEntries?: (entries: readonly Entry[]) => void | Promise<void>;
  /** Called when there is no space for further segments, and when there is space again. */
  readonly onSpaceLow?: (low: boolean) => void;
  /** Called when the disk failed outside of an append. Every later call throws too. */
  readonly onFailure?: (failure: DiskFailure) => void;
};
