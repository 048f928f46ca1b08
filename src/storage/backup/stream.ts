import { CheckpointDamaged } from "../checkpoints/damaged.ts";
import { ChainEncoder } from "../checkpoints/frame-chain.ts";
import type { HeldCheckpoint, HeldFile } from "../checkpoints/held.ts";
import {
  BACKUP_DATA,
  BACKUP_END,
  BACKUP_HEAD,
  BACKUP_LIST,
  BACKUP_PIECE_BYTES,
  BACKUP_SEED,
  type BackupHead,
  encodeBackupHead,
  encodeBackupList,
} from "./format.ts";

const NOTHING = new Uint8Array(0);

/**
 * Produces the bytes of an archive in pieces, each when it is requested. Each file is verified
 * before its first byte is sent, so that a damaged file never looks like a backup.
 *
 * @param held is not released here.
 * @throws CheckpointDamaged, PartitionDamaged, DiskFailure: the bytes sent so far are useless then.
 */
export async function* backupStream(
  held: HeldCheckpoint,
  head: BackupHead,
  nextTurn: () => Promise<void>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const chain = new ChainEncoder(BACKUP_SEED);
  const { files } = held;
  yield chain.encode(BACKUP_HEAD, encodeBackupHead({ head, files }));
  const list = encodeBackupList(files);
  for (let at = 0; at < list.length; at += BACKUP_PIECE_BYTES) {
    yield chain.encode(BACKUP_LIST, list.subarray(at, at + BACKUP_PIECE_BYTES));
  }
  for (const file of files) {
    await file.verify(nextTurn);
    for (let at = 0; at < file.length; at += BACKUP_PIECE_BYTES) {
      yield chain.encode(BACKUP_DATA, await readPiece(file, at));
    }
  }
  yield chain.encode(BACKUP_END, NOTHING);
}

async function readPiece(file: HeldFile, position: number): Promise<Uint8Array> {
  const length = Math.min(BACKUP_PIECE_BYTES, file.length - position);
  const bytes = await file.read(position, length);
  if (bytes.length === length) return bytes;
  throw new CheckpointDamaged(file.path, position + bytes.length, "the file ends early");
}
