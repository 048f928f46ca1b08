const PLACE = /(\d+)-(\d+)\/(\d{20})\.seg$/;

/** Stored bytes are not what was written. Never followed by data: the reader gets this instead. */
export class PartitionDamaged extends Error {
  override readonly name = "PartitionDamaged";
  readonly file: string;
  /** Byte position in the file at which the first wrong batch should begin. */
  readonly position: number;
  readonly reason: string;
  /** Base offset of that batch; null if only the file as a whole was looked at. */
  readonly offset: number | null;
  /** Which segment of which partition: what `PartitionStore.damagedRange` goes by. */
  readonly topicId: number;
  readonly partition: number;
  readonly segmentOffset: number;

  constructor(file: string, position: number, reason: string, offset: number | null = null) {
    super(`${file} is damaged at position ${position}: ${reason}`);
    this.file = file;
    this.position = position;
    this.reason = reason;
    this.offset = offset;
    const [topicId = -1, partition = -1, segmentOffset = -1] =
      PLACE.exec(file)?.slice(1).map(Number) ?? [];
    this.topicId = topicId;
    this.partition = partition;
    this.segmentOffset = segmentOffset;
  }
}

/** The offset lies before the first segment that is kept, so its bytes are gone. */
export class OffsetTrimmed extends Error {
  override readonly name = "OffsetTrimmed";
}
