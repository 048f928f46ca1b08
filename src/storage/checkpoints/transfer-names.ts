/**
 * The names of the files of a checkpoint in a transfer: `checkpoint`, which comes first, and
 * `p/<topicId>-<partition>/<base offset, 20 digits>` for each segment. All other names are refused.
 * Paths are built from the parsed numbers, never from the text.
 */
import { partitionDirectory } from "../partitions/manifest.ts";
import { segmentName } from "../partitions/segment-state.ts";

export const CHECKPOINT_FILE = "checkpoint";
const OFFSET_DIGITS = 20;
const SEGMENT = /^p\/(0|[1-9]\d{0,9})-(0|[1-9]\d{0,6})\/(\d{20})$/;
const TOPIC_ID_MAX = 2 ** 32 - 1;
const PARTITION_MAX = 2 ** 20 - 1;

export type SegmentPlace = {
  readonly topicId: number;
  readonly partition: number;
  readonly baseOffset: number;
};

export const segmentWireName = ({ topicId, partition, baseOffset }: SegmentPlace): string =>
  `p/${topicId}-${partition}/${String(baseOffset).padStart(OFFSET_DIGITS, "0")}`;

/** @returns null if this is not the name of a segment. */
export function parseSegmentWireName(name: string): SegmentPlace | null {
  const match = SEGMENT.exec(name);
  if (match === null) return null;
  const [topicId = 0, partition = 0, baseOffset = 0] = match.slice(1).map(Number);
  const isInRange =
    topicId <= TOPIC_ID_MAX && partition <= PARTITION_MAX && Number.isSafeInteger(baseOffset);
  return isInRange ? { topicId, partition, baseOffset } : null;
}

export function segmentFilePath(root: string, place: SegmentPlace): string {
  const directory = partitionDirectory(root, place.topicId, place.partition);
  return `${directory}/${segmentName(place.baseOffset)}`;
}
