const PLACE = /(\d+)-(\d+)\/(\d{20})\.seg$/;

/** Thrown if stored bytes are damaged. The reader gets this error instead of data. */
export class PartitionDamaged extends Error {
  override readonly name = "PartitionDamaged";
  readonly file: string;
  /** The position in the file at which the first damaged batch should begin. */
  readonly position: number;
  readonly reason: string;
  /** The base offset of that batch; null if only the file as a whole was checked. */
  readonly offset: number | null;
  /** The segment and its partition, as `PartitionStore.damagedRange` takes them. */
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

/** The offset is before the first retained segment, so its bytes are gone. */
export class OffsetTrimmed extends Error {
  override readonly name = "OffsetTrimmed";
}
