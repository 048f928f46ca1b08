import type { Disk } from "../../env/disk.ts";
import type { PartitionLog } from "./log.ts";
import type { PartitionReaper } from "./reaper.ts";
import { indexName, segmentName } from "./segment-state.ts";

export type SweepScope = {
  readonly disk: Disk;
  readonly root: string;
  readonly reaper: PartitionReaper;
  highestTopicId(): number;
  find(topicId: number, partition: number): PartitionLog | null;
};

/**
 * Removes files that a crash left behind: those of segments and partitions that were dropped before
 * it, and those of segments that began elsewhere when the journal was applied again. Names that
 * this process could still create (higher topic ids, higher offsets) are left alone, so that a
 * removal never meets a file that is being created.
 */
export async function sweepStrays(scope: SweepScope): Promise<void> {
  for (const name of await scope.disk.list(scope.root)) {
    const [topicId, partition] = name.split("-").map(Number);
    if (topicId === undefined || partition === undefined) continue;
    const directory = `${scope.root}/${name}`;
    const log = scope.find(topicId, partition);
    if (log !== null) await sweepPartition(scope, log);
    else if (topicId < scope.highestTopicId() && !scope.reaper.keepsDirectory(directory)) {
      await scope.disk.removeTree(directory);
    }
  }
}

async function sweepPartition({ disk, reaper }: SweepScope, log: PartitionLog): Promise<void> {
  for (const name of await disk.list(log.directory)) {
    const baseOffset = Number.parseInt(name, 10);
    if (!(baseOffset < log.endOffset) || log.deleted || reaper.keeps(log, name)) continue;
    const known = log.segments.some(
      (segment) =>
        name === segmentName(segment.baseOffset) || name === indexName(segment.baseOffset),
    );
    if (!known) await disk.remove(`${log.directory}/${name}`);
  }
}
