const NAME_DIGITS = 20;
const NAME = /^\d{20}\.seg$/;

/** The directory of shared files, below the root of the partitions. */
export const SHARED_DIRECTORY = "shared";

export const sharedFilePath = (root: string, number: number): string =>
  `${root}/${SHARED_DIRECTORY}/${String(number).padStart(NAME_DIGITS, "0")}.seg`;

/** Returns the number of a shared file, or null for names of other files. */
export const sharedFileNumber = (name: string): number | null =>
  NAME.test(name) ? Number.parseInt(name, 10) : null;

/** A file that contains segments of many small partitions, which are called pieces. */
export class SharedFile {
  /** Numbers grow and are never used again for other bytes that a checkpoint names. */
  readonly number: number;
  readonly path: string;
  /** The newest consistent point when the file was created. Only later ones can name it. */
  readonly createdCut: number;
  /** The end of the last piece that has its place: placed ≥ written ≥ synced. */
  length: number;
  writtenTo: number;
  syncedTo: number;
  /** Bytes of the pieces that belong to a partition now. */
  liveBytes = 0;
  /** This process created the file, or a checkpoint names it. */
  isCreated: boolean;
  /** Called when the last reader is done. */
  whenFree: (() => void) | null = null;
  #pins = 0;

  /** @param length the bytes that a checkpoint names; 0 for a new file. */
  constructor(root: string, number: number, createdCut: number, length: number) {
    this.number = number;
    this.path = sharedFilePath(root, number);
    this.createdCut = createdCut;
    this.length = length;
    this.writtenTo = length;
    this.syncedTo = length;
    this.isCreated = length > 0;
  }

  get pinned(): boolean {
    return this.#pins > 0;
  }

  /** Keeps the file until `unpin`. */
  pin(): void {
    this.#pins++;
  }

  unpin(): void {
    this.#pins--;
    if (this.#pins === 0) this.whenFree?.();
  }
}
