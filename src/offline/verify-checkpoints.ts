import type { Disk } from "../env/disk.ts";
import { DecodeError } from "../lib/bytes.ts";
import { restoreState } from "../node/recovery/machine-state.ts";
import { decodeConfiguration } from "../raft/config-codec.ts";
import type { LogIndex } from "../raft/types.ts";
import { partitionSeed } from "../record/batch-header.ts";
import { type CheckpointMeta, checkpointIndex } from "../storage/checkpoints/format.ts";
import {
  type CheckpointName,
  parseCheckpointName,
  rootDirectory,
} from "../storage/checkpoints/names.ts";
import { openCheckpoint } from "../storage/checkpoints/reader.ts";
import type { ShardPaths } from "../storage/data-dir.ts";
import { type ManifestSegment, manifestSegments } from "../storage/partitions/manifest.ts";
import { SegmentIndex } from "../storage/partitions/segment-index.ts";
import { verifySegment } from "../storage/partitions/segment-verify.ts";
import { compareWithMachine } from "./compare.ts";
import type { Findings } from "./findings.ts";
import type { VerifiedJournal } from "./verify-journal.ts";

const CHECKPOINT_ADVICE =
  "the next start uses another checkpoint and the journal if they suffice; otherwise restore a " +
  "backup, or replace this node's data directory and let it catch up from its peers";
const SEGMENT_ADVICE =
  "a node with peers repairs it with their batches; on a single node, restore a backup";

export type CheckpointScope = {
  readonly disk: Disk;
  readonly paths: ShardPaths;
  readonly clusterId: string | null;
  readonly findings: Findings;
  readonly nextTurn: () => Promise<void>;
};

/** Verifies every checkpoint in use: its state can be restored, and its segments are intact. */
export async function verifyCheckpoints(
  scope: CheckpointScope,
  journal: VerifiedJournal,
): Promise<void> {
  const { disk, paths, findings } = scope;
  const seen = new Set<string>();
  const whole: { name: CheckpointName; meta: CheckpointMeta; file: string }[] = [];
  for (const text of await disk.list(paths.checkpoints)) {
    const file = `${paths.checkpoints}/${text}`;
    const name = parseCheckpointName(text);
    if (name === null || checkpointIndex(text) === null) {
      findings.note({ file }, "an unfinished or replaced checkpoint", "it is ignored");
      continue;
    }
    const read = await verifyCheckpoint(scope, file, name);
    if (read === null) continue;
    whole.push({ name, meta: read.meta, file });
    for (const segment of read.segments) await verifyOnce(scope, segment, seen);
  }
  const newest = whole.reduce<(typeof whole)[number] | null>(
    (best, each) => (best === null || each.name.index > best.name.index ? each : best),
    null,
  );
  if (newest !== null) compareWithJournal(newest, journal, findings);
}

async function verifyCheckpoint(
  { disk, paths, clusterId, findings }: CheckpointScope,
  file: string,
  name: CheckpointName,
): Promise<{ meta: CheckpointMeta; segments: readonly ManifestSegment[] } | null> {
  try {
    const loaded = await openCheckpoint(disk, file, name.index);
    findings.checked(loaded.length);
    const { meta, manifest } = loaded;
    const state = await restoreState(loaded);
    decodeConfiguration(meta.configuration);
    for (const wrong of compareWithMachine(manifest, state)) {
      findings.damage({ file }, wrong, CHECKPOINT_ADVICE);
    }
    if (clusterId !== null && meta.clusterId !== clusterId) {
      const problem = `it is of cluster ${meta.clusterId}, and FORMAT says ${clusterId}`;
      findings.damage({ file }, problem, "restore the file of this cluster");
    }
    const root = rootDirectory(paths.partitions, name.root);
    return { meta, segments: manifestSegments(root, manifest) };
  } catch (error) {
    if (error instanceof DecodeError) findings.damage({ file }, error.message, CHECKPOINT_ADVICE);
    else findings.failed(error, file, CHECKPOINT_ADVICE);
    return null;
  }
}

/** Verifies each segment once, because two checkpoints share most of their segments. */
async function verifyOnce(
  { disk, findings, nextTurn }: CheckpointScope,
  segment: ManifestSegment,
  seen: Set<string>,
): Promise<void> {
  const key = `${segment.path} ${segment.length}`;
  if (seen.has(key)) return;
  seen.add(key);
  try {
    await verifySegment(disk, segment, nextTurn);
    findings.checked(segment.length);
  } catch (error) {
    findings.failed(error, segment.path, SEGMENT_ADVICE);
  }
  await verifyIndex(disk, segment, findings, seen);
}

async function verifyIndex(
  disk: Disk,
  { path, topicId, partition, baseOffset }: ManifestSegment,
  findings: Findings,
  seen: Set<string>,
): Promise<void> {
  const file = path.replace(/\.seg$/, ".idx");
  if (seen.has(file)) return;
  seen.add(file);
  const bytes = await disk.readWhole(file);
  if (bytes === null) return;
  findings.checked(bytes.length);
  if (SegmentIndex.decode(bytes, partitionSeed(topicId, partition), baseOffset) !== null) return;
  findings.note({ file }, "incomplete index", "it is rebuilt from the segment when it is needed");
}

/** Applies the rules that `CheckpointStore.settle` uses at a start. */
function compareWithJournal(
  { name, meta, file }: { name: CheckpointName; meta: CheckpointMeta; file: string },
  journal: VerifiedJournal,
  findings: Findings,
): void {
  if (journal === null || name.state === "install" || journal.marker !== null) return;
  const { index } = journal;
  if (index.termAt(name.index as LogIndex) === meta.term) return;
  findings.damage(
    { file },
    `the journal has entries ${index.firstIndex} to ${index.lastIndex} and does not continue after ` +
      `this checkpoint of entry ${meta.index}, term ${meta.term}`,
    "files of the journal are missing: put them back, or restore a backup",
  );
}
