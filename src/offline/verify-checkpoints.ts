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
import { PartitionDamaged } from "../storage/partitions/damaged.ts";
import {
  type ManifestFile,
  type ManifestSegment,
  manifestFiles,
} from "../storage/partitions/manifest.ts";
import { SegmentIndex } from "../storage/partitions/segment-index.ts";
import { verifyFile } from "../storage/partitions/segment-verify.ts";
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
    for (const segments of read.files) await verifyOnce(scope, segments, seen);
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
): Promise<{ meta: CheckpointMeta; files: readonly ManifestFile[] } | null> {
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
    return { meta, files: manifestFiles(root, manifest) };
  } catch (error) {
    if (error instanceof DecodeError) findings.damage({ file }, error.message, CHECKPOINT_ADVICE);
    else findings.failed(error, file, CHECKPOINT_ADVICE);
    return null;
  }
}

/** Verifies each segment once, because two checkpoints share most of their segments. */
async function verifyOnce(
  { disk, findings, nextTurn }: CheckpointScope,
  file: ManifestFile,
  seen: Set<string>,
): Promise<void> {
  const unseen = file.segments.filter((segment) => {
    const key = `${segment.path} ${segment.position} ${segment.length}`;
    return !seen.has(key) && seen.add(key);
  });
  if (unseen.length === 0) return;
  let bytes = 0;
  // The damage of one segment must not hide that of another.
  for (let left = unseen; left.length > 0; ) {
    let intact = 0;
    try {
      await verifyFile(disk, { path: file.path, segments: left }, nextTurn, ({ length }) => {
        intact++;
        bytes += length;
      });
      break;
    } catch (error) {
      tell(findings, file, left[intact], error);
      left = error instanceof PartitionDamaged ? left.slice(intact + 1) : [];
    }
  }
  findings.checked(bytes);
  const [own] = file.segments;
  if (file.shared === null && own !== undefined) await verifyIndex(disk, own, findings, seen);
}

function tell(
  findings: Findings,
  { path, shared }: ManifestFile,
  segment: ManifestSegment | undefined,
  error: unknown,
): void {
  if (shared === null || segment === undefined || !(error instanceof PartitionDamaged)) {
    findings.failed(error, path, SEGMENT_ADVICE);
    return;
  }
  const position = segment.position + error.position;
  const whose = `records of topic ${segment.topicId}, partition ${segment.partition}`;
  findings.damage({ file: path, position }, `${whose}: ${error.reason}`, SEGMENT_ADVICE);
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
