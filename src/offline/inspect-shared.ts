/** Where the records of small partitions lie: pieces of files that many partitions share. */
import { type Disk, DiskFailure, type DiskFile } from "../env/disk.ts";
import { SHARD_0 } from "../lib/ids.ts";
import type { MachineState } from "../machine/state.ts";
import { restoreState } from "../node/recovery/machine-state.ts";
import { CheckpointDamaged } from "../storage/checkpoints/damaged.ts";
import { checkpointName, rootDirectory } from "../storage/checkpoints/names.ts";
import { openCheckpoint } from "../storage/checkpoints/reader.ts";
import { checkpointNames } from "../storage/checkpoints/scan.ts";
import { shardPaths } from "../storage/data-dir.ts";
import { PartitionDamaged } from "../storage/partitions/damaged.ts";
import {
  type ManifestFile,
  type ManifestSegment,
  manifestFiles,
} from "../storage/partitions/manifest.ts";
import { verifySegment } from "../storage/partitions/segment-verify.ts";
import { type Row, Unreadable } from "./row.ts";

export type NamedFiles = {
  /** The checkpoint that names them. */
  readonly checkpoint: string;
  readonly root: string;
  readonly files: readonly ManifestFile[];
  readonly state: MachineState;
};

/**
 * Returns the shared files that the newest checkpoint of a data directory names, and null without a
 * checkpoint. Records that it does not have yet are in the journal.
 *
 * @throws Unreadable if the checkpoint is damaged.
 */
export async function namedFiles(disk: Disk): Promise<NamedFiles | null> {
  const { checkpoints, partitions } = shardPaths(SHARD_0);
  const [name] = await checkpointNames(disk, checkpoints);
  if (name === undefined) return null;
  const checkpoint = `${checkpoints}/${checkpointName(name.index, name.root, name.state)}`;
  try {
    const loaded = await openCheckpoint(disk, checkpoint, name.index);
    const root = rootDirectory(partitions, name.root);
    const all = manifestFiles(root, loaded.manifest);
    const files = all.filter(({ shared }) => shared !== null);
    return { checkpoint, root, files, state: await restoreState(loaded) };
  } catch (error) {
    if (!(error instanceof CheckpointDamaged)) throw error;
    throw new Unreadable(checkpoint, error.position, error.reason);
  }
}

/** Returns the pieces of one partition, in the order of their offsets. */
export const piecesOf = (
  { files }: NamedFiles,
  { topicId, partition }: { readonly topicId: number; readonly partition: number },
): ManifestSegment[] =>
  files
    .flatMap(({ segments }) => segments)
    .filter((piece) => piece.topicId === topicId && piece.partition === partition)
    .sort((a, b) => a.baseOffset - b.baseOffset);

/**
 * Lists the shared files with their pieces, in the order of the files, and verifies each piece. Bytes
 * between pieces belong to no partition any more.
 *
 * @param number of the file to list; null: all.
 * @throws Unreadable at the end if a piece is damaged.
 */
export async function* inspectShared(
  disk: Disk,
  number: number | null,
  nextTurn: () => Promise<void>,
): AsyncGenerator<Row, void> {
  const named = await namedFiles(disk);
  if (named === null) throw new Unreadable(shardPaths(SHARD_0).checkpoints, 0, "no checkpoint");
  const files = named.files.filter(({ shared }) => number === null || shared === number);
  if (files.length === 0) {
    const what = number === null ? "any shared file" : `shared file ${number}`;
    throw new Unreadable(named.checkpoint, 0, `it does not name ${what}`);
  }
  const damages: Damages = { count: 0, first: null };
  for (const file of files) {
    yield fileRow(file);
    const open = await openOrNull(disk, file.path);
    try {
      yield* pieceRows({ state: named.state, file, open, damages, nextTurn });
    } finally {
      await open?.close();
    }
  }
  const { count, first } = damages;
  if (first !== null) {
    const pieces = count === 1 ? "1 piece is damaged" : `${count} pieces are damaged`;
    throw new Unreadable(first.file, first.position, `${first.reason}; ${pieces}`);
  }
}

type Damage = { readonly position: number; readonly reason: string };
type Damages = { count: number; first: (Damage & { readonly file: string }) | null };
type Scope = {
  readonly state: MachineState;
  readonly file: ManifestFile;
  /** Null if the file is missing. */
  readonly open: DiskFile | null;
  readonly damages: Damages;
  readonly nextTurn: () => Promise<void>;
};

async function openOrNull(disk: Disk, path: string): Promise<DiskFile | null> {
  try {
    return await disk.open(path, "existing");
  } catch (error) {
    if (!(error instanceof DiskFailure)) throw error;
    return null;
  }
}

async function* pieceRows(scope: Scope): AsyncGenerator<Row, void> {
  const { state, file, damages } = scope;
  let end = 0;
  for (const piece of file.segments) {
    if (piece.position > end) yield gapRow(file, end, piece.position);
    const damage = await damageOf(scope, piece, end);
    if (damage !== null) {
      damages.count++;
      damages.first ??= { ...damage, file: file.path };
    }
    yield pieceRow(state, piece, damage);
    end = Math.max(end, piece.position + piece.length);
  }
  if (end < file.length) yield gapRow(file, end, file.length);
}

/** @param end the end of the pieces before it in the file. */
async function damageOf(
  { open, nextTurn }: Scope,
  piece: ManifestSegment,
  end: number,
): Promise<Damage | null> {
  const { position } = piece;
  if (open === null) return { position, reason: "the file is missing" };
  if (position < end) return { position, reason: "it overlaps the piece before it" };
  try {
    await verifySegment(open, piece, nextTurn);
    return null;
  } catch (error) {
    if (!(error instanceof PartitionDamaged)) throw error;
    return { position: position + error.position, reason: error.reason };
  }
}

function fileRow({ path, length, segments }: ManifestFile): Row {
  const live = segments.reduce((sum, segment) => sum + segment.length, 0);
  return {
    json: {
      file: path,
      kind: "shared_file",
      bytes: length,
      pieces: segments.length,
      garbage_bytes: length - live,
    },
    text: `${path}: ${length} bytes, ${segments.length} pieces, ${length - live} bytes of garbage`,
  };
}

const gapRow = ({ path }: ManifestFile, from: number, to: number): Row => ({
  json: { file: path, kind: "garbage", position: from, bytes: to - from },
  text: `${`@${from}`.padEnd(11)} garbage ${to - from} B`,
});

function pieceRow(state: MachineState, piece: ManifestSegment, damage: Damage | null): Row {
  const { path, position, length, topicId, partition, baseOffset, endOffset } = piece;
  const owner = ownerOf(state, topicId);
  const last = endOffset - 1;
  const verdict = damage === null ? "intact" : `DAMAGED at ${damage.position}: ${damage.reason}`;
  const named = Object.entries(owner).map(([kind, name]) => ` ${kind} ${name}`);
  return {
    json: {
      file: path,
      kind: "piece",
      position,
      bytes: length,
      topic_id: topicId,
      partition,
      ...owner,
      base_offset: baseOffset,
      last_offset: last,
      damage: damage === null ? null : { position: damage.position, reason: damage.reason },
    },
    text: `${`@${position}`.padEnd(11)} ${topicId}-${partition}${named} offsets ${baseOffset}…${last} ${length} B ${verdict}`,
  };
}

/** The stream or the topic that the records are of. Topics of other parts of the state have no name. */
function ownerOf({ broker, parts }: MachineState, topicId: number): Record<string, string> {
  const stream = parts.durable.byId.get(topicId);
  if (stream !== undefined) return { stream: stream.config.path };
  const topic = broker.userTopics.get(topicId);
  return topic === undefined ? {} : { topic: topic.name };
}
