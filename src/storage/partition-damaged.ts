/** Stored bytes are not what was written. Never followed by data: the reader gets this instead. */
export class PartitionDamaged extends Error {
  override readonly name = "PartitionDamaged";
  readonly file: string;
  /** Byte position in the file at which the first wrong batch should begin. */
  readonly position: number;

  constructor(file: string, position: number, reason: string) {
    super(`${file} is damaged at position ${position}: ${reason}`);
    this.file = file;
    this.position = position;
  }
}

/** The offset lies before the first segment that is kept, so its bytes are gone. */
export class OffsetTrimmed extends Error {
  override readonly name = "OffsetTrimmed";
}
