import type { DiskFailure } from "../../env/disk.ts";
import { intactOf } from "../../storage/checkpoints/scan.ts";
import { Journal } from "../../storage/journal/journal.ts";
import type { EntryCollector } from "./log-entries.ts";
import { type RecoveryOptions, repaired } from "./options.ts";
import type { ShardScan } from "./scan.ts";

/** Opens the journal. Peers and checkpoint determine which damaged entries it may do without. */
export async function openJournal(
  options: RecoveryOptions,
  { hasPeers, checkpoints }: Pick<ShardScan, "hasPeers" | "checkpoints">,
  collected: EntryCollector,
): Promise<Journal> {
  const { disk, dataDir, shard, storage, clock, log, onSpace, onFailure } = options;
  const paths = dataDir.shard(shard);
  const { journal, torn, salvaged, covered } = await Journal.open({
    disk,
    directory: paths.journal,
    identity: dataDir.checksumIdentity(shard),
    segmentBytes: storage.journalSegmentBytes,
    reserveBytes: storage.diskReserveBytes,
    clock,
    cutDamaged: hasPeers ?? false,
    covered: () => Promise.resolve(intactOf(checkpoints)?.meta ?? null),
    onEntries: (entries) => collected.add(entries),
    onSpaceLow: onSpace,
    onFailure: (failure: DiskFailure) => onFailure(failure),
  });
  if (torn !== null) {
    log.warn("truncated an incomplete append at the end of the journal", torn);
  }
  if (salvaged !== null) {
    log.error(
      "journal was damaged and truncated, missing entries will be fetched from peers",
      salvaged,
    );
    repaired(options, "journal");
  }
  if (covered !== null) {
    const { file, position, reason } = covered;
    log.error(
      "the journal is damaged; nothing is lost, because a checkpoint covers the damaged part; check the health of this disk",
      { file, position, reason, checkpoint: journal.firstIndex - 1 },
    );
    options.instruments.damage.journal.value++;
  }
  if (journal.marker !== null) {
    log.warn("this node does not campaign until its log is complete again", journal.marker);
  }
  return journal;
}
