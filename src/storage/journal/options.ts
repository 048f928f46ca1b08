import type { Clock } from "../../env/clock.ts";
import type { Disk, DiskFailure } from "../../env/disk.ts";
import type { Entry } from "../../raft/types.ts";
import type { CoveredEnd } from "./remainder.ts";

export type JournalOptions = {
  readonly disk: Disk;
  readonly directory: string;
  /** 32 bits that belong to this journal alone: frames of another one are never taken for ours. */
  readonly identity: number;
  /** @default 32 MiB */
  readonly segmentBytes?: number;
  /** Free bytes left to checkpoints and partition logs. @default 64 MiB */
  readonly reserveBytes?: number;
  /** For the watermark after an idle time; without it only `noteIdle` and `close` write one. */
  readonly clock?: Clock;
  /**
   * For a node that has peers: a damaged journal is cut before the damage instead of refused, and
   * the previous end is recorded in the file `claimed`. @default false
   */
  readonly cutDamaged?: boolean;
  /**
   * The end of the newest whole checkpoint, for damage that is not to be cut: what is damaged before
   * it costs nothing. The journal then begins behind it; see `damagedUpTo`.
   */
  readonly covered?: () => Promise<CoveredEnd | null>;
  /**
   * Entries as recovery reads them, views into slices that are not used again. An entry whose index
   * is not new replaces that one and all behind it. What is above `lastIndex` in the end is void.
   */
  readonly onEntries?: (entries: readonly Entry[]) => void | Promise<void>;
  /** No room for further segments, or room again. */
  readonly onSpaceLow?: (low: boolean) => void;
  /** The disk failed beside an append. Every later call throws too. */
  readonly onFailure?: (failure: DiskFailure) => void;
};
