/**
 * The names of the files of a checkpoint in a transfer: `checkpoint`, which comes first,
 * `p/<topicId>-<partition>/<base offset, 20 digits>` for each segment with a file of its own, and
 * `s/<number>` for each file that partitions share. All other names are refused.
 * Paths are built from the parsed numbers, never from the text.
 */
import { type ManifestFileHead, partitionDirectory } from "../partitions/manifest.ts";
import { segmentName } from "../partitions/segment-state.ts";
import { sharedFilePath } from "../partitions/shared-file.ts";

export const CHECKPOINT_FILE = "checkpoint";
const OFFSET_DIGITS = 20;
const SEGMENT = /^p\/(0|[1-9]\d{0,9})-(0|[1-9]\d{0,6})\/(\d{20})$/;
const SHARED = /^s\/(0|[1-9]\d{0,15})$/;
const TOPIC_ID_MAX = 2 ** 32 - 1;
const PARTITION_MAX = 2 ** 20 - 1;

type SegmentPlace = {
  readonly topicId: number;
  readonly partition: number;
  readonly baseOffset: number;
};

const segmentWireName = ({ topicId, partition, baseOffset }: SegmentPlace): string =>
  `p/${topicId}-${partition}/${String(baseOffset).padStart(OFFSET_DIGITS, "0")}`;

/** Returns the name of a file that a manifest names. */
export const fileWireName = ({ shared, own }: Pick<ManifestFileHead, "shared" | "own">): string =>
  own === null ? `s/${shared}` : segmentWireName(own);

/** True for a file that partitions share. */
export const isSharedName = (name: string): boolean => SHARED.test(name);

/** @returns the path of a file that a transfer names; null if no such file has this name. */
export function wireFilePath(root: string, name: string): string | null {
  const number = Number(SHARED.exec(name)?.[1] ?? -1);
  if (Number.isSafeInteger(number) && number >= 0) return sharedFilePath(root, number);
  const place = parseSegmentWireName(name);
  if (place === null) return null;
  const directory = partitionDirectory(root, place.topicId, place.partition);
  return `${directory}/${segmentName(place.baseOffset)}`;
}

/** @returns null if this is not the name of a segment. */
function parseSegmentWireName(name: string): SegmentPlace | null {
  const match = SEGMENT.exec(name);
  if (match === null) return null;
  const [topicId = 0, partition = 0, baseOffset = 0] = match.slice(1).map(Number);
  const isInRange =
    topicId <= TOPIC_ID_MAX && partition <= PARTITION_MAX && Number.isSafeInteger(baseOffset);
  return isInRange ? { topicId, partition, baseOffset } : null;
}
