/** Thrown if a checkpoint file is damaged and no older checkpoint can replace it. */
export class CheckpointDamaged extends Error {
  override readonly name = "CheckpointDamaged";
  readonly file: string;
  readonly position: number;
  readonly reason: string;

  constructor(file: string, position: number, reason: string) {
    super(`${file} is damaged at position ${position}: ${reason}`);
    this.file = file;
    this.position = position;
    this.reason = reason;
  }
}
