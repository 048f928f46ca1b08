import { DecodeError } from "../../lib/bytes.ts";
import { CheckpointDamaged } from "../checkpoints/damaged.ts";
import { ChainReader, type FrameSource } from "../checkpoints/frame-chain.ts";
import {
  BACKUP_DATA,
  BACKUP_END,
  BACKUP_HEAD,
  BACKUP_LIST,
  BACKUP_SEED,
  type BackupContents,
  BackupDamaged,
  decodeBackupHead,
  decodeBackupList,
  type ReadHead,
} from "./format.ts";

/** A piece of one file of an archive. Pieces come in order. */
export type BackupPiece = {
  /** The index of the file in `contents.files`. */
  readonly file: number;
  readonly position: number;
  /** Valid until the next piece is requested. */
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
};

/** Reads an archive from the first byte to the last and verifies every frame. */
export class BackupReader {
  readonly contents: BackupContents<ReadHead>;
  readonly #archive: string;
  readonly #chain: ChainReader;
  #file = 0;
  #position = 0;

  /**
   * Reads the head and the list.
   *
   * @param archive the name of the archive, for errors.
   * @throws BackupDamaged
   */
  static async open(source: FrameSource, archive: string): Promise<BackupReader> {
    const chain = new ChainReader(source, archive, BACKUP_SEED);
    const contents = await guarded(archive, chain, () => readContents(chain));
    return new BackupReader(archive, chain, contents);
  }

  private constructor(archive: string, chain: ChainReader, contents: BackupContents<ReadHead>) {
    this.#archive = archive;
    this.#chain = chain;
    this.contents = contents;
  }

  /** Bytes of the archive that were read and verified so far. */
  get position(): number {
    return this.#chain.position;
  }

  /** Returns the next piece, or null at the end of an intact archive. @throws BackupDamaged */
  async next(): Promise<BackupPiece | null> {
    return await guarded(this.#archive, this.#chain, () => this.#next());
  }

  /** Reads the remainder of the archive. @throws BackupDamaged unless the archive is intact. */
  async check(): Promise<void> {
    for (let piece = await this.next(); piece !== null; ) piece = await this.next();
  }

  async #next(): Promise<BackupPiece | null> {
    const { files } = this.contents;
    const { kind, payload } = await this.#chain.next();
    const wanted = files[this.#file];
    if (wanted === undefined) {
      if (kind !== BACKUP_END) throw new DecodeError("a frame where the end belongs");
      await this.#chain.expectEnd();
      return null;
    }
    const end = this.#position + payload.length;
    if (kind !== BACKUP_DATA) throw new DecodeError("a frame where bytes of a file belong");
    if (payload.length === 0 || end > wanted.length)
      throw new DecodeError("a file has other bytes");
    const isLast = end === wanted.length;
    const piece = { file: this.#file, position: this.#position, bytes: payload, isLast };
    this.#file += isLast ? 1 : 0;
    this.#position = isLast ? 0 : end;
    return piece;
  }
}

async function readContents(chain: ChainReader): Promise<BackupContents<ReadHead>> {
  const first = await chain.next();
  if (first.kind !== BACKUP_HEAD) throw new DecodeError("it does not begin with a head");
  const { head, fileCount, listBytes } = decodeBackupHead(first.payload);
  const parts: Uint8Array[] = [];
  for (let left = listBytes; left > 0; ) {
    const { kind, payload } = await chain.next();
    if (kind !== BACKUP_LIST || payload.length === 0 || payload.length > left) {
      throw new DecodeError("the list of files is not whole");
    }
    parts.push(payload.slice());
    left -= payload.length;
  }
  return { head, files: decodeBackupList(Buffer.concat(parts), fileCount) };
}

async function guarded<T>(archive: string, chain: ChainReader, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof CheckpointDamaged) {
      throw new BackupDamaged(archive, cause.position, cause.reason, { cause });
    }
    if (!(cause instanceof DecodeError)) throw cause;
    throw new BackupDamaged(archive, chain.position, cause.message, { cause });
  }
}
