/**
 * Receives a checkpoint of another node and replaces the state of this one. Files are written to
 * their final location: segments to a new root, the checkpoint to `<index>@<root>.part`. One rename
 * of that file to `.install` puts them in force. A crash before the rename leaves the node as it
 * was, and the transfer can resume. A crash after it leaves exactly the new state. Calls must not
 * overlap.
 */
import { feature as faultPoint } from "bun:bundle";
import { type Disk, type DiskFile, DiskFull } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import { crc32 } from "../../lib/crc32.ts";
import { parentOf } from "../../lib/path.ts";
import { CheckpointDamaged } from "../checkpoints/damaged.ts";
import type { CheckpointMeta } from "../checkpoints/format.ts";
import {
  incomingDirectory,
  readPlace,
  readRecord,
  removeRecord,
  SNAPSHOT_START,
  type SnapshotAnnouncement,
  type SnapshotPlace,
  writePlace,
  writeRecord,
} from "../checkpoints/incoming.ts";
import {
  checkpointName,
  parseCheckpointName,
  rootDirectory,
  rootOf,
} from "../checkpoints/names.ts";
import { type LoadedCheckpoint, openCheckpoint } from "../checkpoints/reader.ts";
import type { CommittedSnapshot } from "../checkpoints/store.ts";
import { wireFilePath } from "../checkpoints/transfer-names.ts";
import { makeDurableDirectory, syncDirectory } from "../durable.ts";
import { isListed } from "../listed.ts";
import { PartitionDamaged } from "../partitions/damaged.ts";
import type { ManifestFile } from "../partitions/manifest.ts";
import { verifyFile } from "../partitions/segment-verify.ts";
import {
  checkAnnouncement,
  matchFiles,
  refuseUnless,
  SnapshotDamaged,
  SnapshotRefused,
} from "./check.ts";

const SAVE_BYTES_DEFAULT = 64 * 1024 * 1024;
/** Maximum number of files received again after a crash. Each costs a sync of its directory. */
const SAVE_FILES = 256;

export type SnapshotInstallOptions = {
  readonly disk: Disk;
  /** The same paths as in the checkpoint store. */
  readonly directory: string;
  readonly partitionsDirectory: string;
  /** The cluster of this node; null if it is not known yet. */
  readonly clusterId: string | null;
  /** Free bytes to leave for other users of the disk. */
  readonly reserveBytes: number;
  /** Maximum number of bytes that are received again after a crash. @default 64 MiB */
  readonly saveBytes?: number;
  readonly nextTurn: () => Promise<void>;
  /** Called before a snapshot with files that partitions share is put in force. */
  readonly prepareShared: () => Promise<void>;
};

/** The snapshot is complete and verified, but not in force yet. */
export type VerifiedSnapshot = {
  readonly meta: CheckpointMeta;
  /** The checkpoint, from which the machine can be restored before it is in force. */
  open(): Promise<LoadedCheckpoint>;
};

type Transfer = {
  readonly root: number;
  readonly announcement: SnapshotAnnouncement;
  place: SnapshotPlace;
  /** In the order of the announced files. Known once the checkpoint is complete. */
  files: readonly ManifestFile[];
  meta: CheckpointMeta | null;
  file: DiskFile | null;
  /** Directories whose entries are not durable yet. */
  readonly dirty: Set<string>;
  /** Directories of partitions that exist. */
  readonly made: Set<string>;
  /** Files before this index were received by an earlier process, and are verified at the end. */
  verifiedFrom: number;
  unsavedBytes: number;
  unsavedFiles: number;
  isVerified: boolean;
};

export class SnapshotInstall {
  readonly #options: SnapshotInstallOptions;
  readonly #shard: string;
  readonly #saveBytes: number;
  #transfer: Transfer | null = null;
  /** The snapshot is in force, and the record of its transfer may still exist. */
  #committed: CommittedSnapshot | null = null;

  constructor(options: SnapshotInstallOptions) {
    this.#options = options;
    this.#shard = parentOf(options.partitionsDirectory);
    this.#saveBytes = options.saveBytes ?? SAVE_BYTES_DEFAULT;
  }

  /**
   * The transfer in progress, perhaps begun by an earlier process, which is neither committed nor
   * aborted.
   */
  async pending(): Promise<SnapshotAnnouncement | null> {
    const record = this.#transfer ?? (await readRecord(this.#options.disk, this.#shard));
    return record?.announcement ?? null;
  }

  /**
   * Begins a transfer, or resumes it if it is the same snapshot. Data of another snapshot is
   * removed.
   *
   * @param options `fresh: true` starts from the beginning.
   * @returns the position to resume at.
   * @throws SnapshotRefused if no correct node announces this, or it is not newer than this node's
   * state.
   * @throws DiskFull if there is not enough space.
   */
  async begin(
    announcement: SnapshotAnnouncement,
    options: { readonly fresh?: boolean } = {},
  ): Promise<SnapshotPlace> {
    const bytes = checkAnnouncement(announcement);
    await this.#refuseOld(announcement.index);
    if (options.fresh === true) await this.abort();
    const going = this.#transfer;
    if (going !== null && isSame(going.announcement, announcement)) return going.place;
    const transfer = (await this.#resumed(announcement)) ?? (await this.#fresh(announcement));
    this.#transfer = transfer;
    try {
      await this.#refuseWithoutRoom(bytes - receivedBytes(transfer));
    } catch (error) {
      await this.abort();
      throw error;
    }
    return transfer.place;
  }

  /** The resume position; null if no transfer is in progress. */
  resumePoint(): SnapshotPlace | null {
    return this.#transfer?.place ?? null;
  }

  /** @throws SnapshotRefused if these bytes do not continue at the resume position. */
  async write(file: number, position: number, bytes: Uint8Array): Promise<void> {
    const transfer = this.#current();
    const { place, announcement } = transfer;
    refuseUnless(file === place.file && position === place.position, "bytes out of order");
    const end = position + bytes.length;
    refuseUnless(end <= (announcement.files[file]?.length ?? 0), "more bytes than were announced");
    transfer.file ??= await this.#openNext(transfer);
    await transfer.file.write(position, bytes);
    transfer.place = { file, position: end, crc: crc32(bytes, place.crc) };
    transfer.unsavedBytes += bytes.length;
    if (transfer.unsavedBytes >= this.#saveBytes) await this.#save(transfer);
  }

  /** Completes a file. @throws SnapshotRefused if the file is incomplete or invalid. */
  async fileDone(file: number): Promise<void> {
    const transfer = this.#current();
    const { place, announcement } = transfer;
    const isWhole = place.file === file && place.position === announcement.files[file]?.length;
    refuseUnless(isWhole, "the file is not whole");
    await this.#closeFile(transfer);
    if (file === 0) await this.#readCheckpoint(transfer);
    else await this.#verify(transfer, file);
    transfer.place = { file: file + 1, position: 0, crc: 0 };
    transfer.unsavedFiles++;
    if (transfer.unsavedFiles >= SAVE_FILES) await this.#save(transfer);
  }

  /**
   * Verifies what is not verified yet and makes everything durable.
   *
   * @throws SnapshotRefused if any file is invalid.
   */
  async finish(): Promise<VerifiedSnapshot> {
    const transfer = this.#current();
    const { announcement } = transfer;
    refuseUnless(transfer.place.file === announcement.files.length, "files are missing");
    for (let file = 1; file < transfer.verifiedFrom; file++) await this.#verify(transfer, file);
    transfer.dirty.add(this.#shard);
    if (!faultPoint("snapshot-not-atomic")) await this.#save(transfer);
    const { meta } = transfer;
    assert(meta !== null, "the checkpoint was read when it was whole");
    transfer.isVerified = true;
    const open = () => openCheckpoint(this.#options.disk, this.#part(transfer), meta.index);
    return { meta, open };
  }

  /**
   * Puts the snapshot in force with one rename.
   *
   * @returns the argument of `CheckpointStore.adopt`. After a crash the next start finds it.
   * @throws DiskFull if there is no space: the call may be repeated.
   */
  async commit(): Promise<CommittedSnapshot> {
    const committed = this.#committed ?? (await this.#putInForce(this.#current()));
    this.#committed = committed;
    await removeRecord(this.#options.disk, this.#shard);
    this.#committed = null;
    return committed;
  }

  async #putInForce(transfer: Transfer): Promise<CommittedSnapshot> {
    assert(transfer.isVerified, "only what was verified is installed");
    const { disk, directory } = this.#options;
    const { root, announcement } = transfer;
    const { index, term } = announcement;
    await this.#refuseOld(index);
    if (transfer.files.some(({ shared }) => shared !== null)) await this.#options.prepareShared();
    await disk.rename(
      this.#part(transfer),
      `${directory}/${checkpointName(index, root, "install")}`,
    );
    this.#transfer = null;
    await syncDirectory(disk, directory);
    return { index, term, root, state: "install" };
  }

  /** Removes received data of this or an earlier process, but not what was committed. */
  async abort(): Promise<void> {
    const { disk } = this.#options;
    const transfer = this.#transfer;
    this.#transfer = null;
    await transfer?.file?.close();
    const record = transfer ?? (await readRecord(disk, this.#shard));
    if (record === null || (await this.#isInForce(record.root))) return;
    // Without its record the data has no effect, so it can be removed later.
    await removeRecord(disk, this.#shard);
    await disk.remove(this.#part(record));
    await disk.removeTree(this.#rootPath(record.root));
  }

  async #fresh(announcement: SnapshotAnnouncement): Promise<Transfer> {
    const { disk, directory } = this.#options;
    await this.abort();
    const root = await this.#unusedRoot();
    await makeDurableDirectory(disk, directory);
    await makeDurableDirectory(disk, incomingDirectory(this.#shard));
    await removeRecord(disk, this.#shard);
    await writeRecord(disk, this.#shard, { root, announcement });
    await disk.makeDirectory(this.#rootPath(root));
    return newTransfer(root, announcement, SNAPSHOT_START);
  }

  /** @returns null if there is no transfer to resume. */
  async #resumed(announcement: SnapshotAnnouncement): Promise<Transfer | null> {
    const { disk } = this.#options;
    const record = await readRecord(disk, this.#shard);
    if (record === null || !isSame(record.announcement, announcement)) return null;
    const place = await readPlace(disk, this.#shard, record.root);
    const transfer = newTransfer(record.root, announcement, place);
    try {
      if (place.file > 0) await this.#readCheckpoint(transfer);
      if (place.position > 0) transfer.file = await this.#openPartial(transfer);
      await disk.makeDirectory(this.#rootPath(record.root));
      return transfer;
    } catch (error) {
      if (error instanceof SnapshotRefused) return null;
      throw error;
    }
  }

  async #openPartial(transfer: Transfer): Promise<DiskFile> {
    const { disk } = this.#options;
    const path = this.#pathOf(transfer, transfer.place.file);
    await this.#mustExist(path);
    const file = await disk.open(path, "existing");
    if ((await file.size()) >= transfer.place.position) return file;
    await file.close();
    throw new SnapshotRefused("snapshot refused: a file is shorter than it was");
  }

  async #openNext(transfer: Transfer): Promise<DiskFile> {
    const { disk } = this.#options;
    const path = this.#pathOf(transfer, transfer.place.file);
    const directory = parentOf(path);
    transfer.dirty.add(directory);
    if (transfer.place.file > 0 && !transfer.made.has(directory)) {
      await disk.makeDirectory(directory);
      transfer.made.add(directory);
      transfer.dirty.add(this.#rootPath(transfer.root));
    }
    return await disk.open(path, "truncate");
  }

  /** The checkpoint file is complete, so the contents of the other files are known now. */
  async #readCheckpoint(transfer: Transfer): Promise<void> {
    const { disk, clusterId } = this.#options;
    const { index, term, files } = transfer.announcement;
    await this.#mustExist(this.#part(transfer));
    const loaded = await refusing(() => openCheckpoint(disk, this.#part(transfer), index));
    await loaded.close();
    const { meta, manifest, length } = loaded;
    refuseUnless(meta.term === term, "the checkpoint is of another term");
    refuseUnless(clusterId === null || meta.clusterId === clusterId, "it is of another cluster");
    refuseUnless(length === files[0]?.length, "the checkpoint has another length");
    transfer.files = matchFiles(this.#rootPath(transfer.root), manifest, files);
    transfer.meta = meta;
  }

  async #verify(transfer: Transfer, file: number): Promise<void> {
    const { disk, nextTurn } = this.#options;
    const named = transfer.files[file - 1];
    assert(named !== undefined, "the manifest has every file");
    if (file < transfer.verifiedFrom) await this.#mustExist(named.path);
    await refusing(() => verifyFile(disk, named, nextTurn));
  }

  async #closeFile(transfer: Transfer): Promise<void> {
    const { file } = transfer;
    if (file === null) return;
    transfer.file = null;
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /**
   * Makes all received data durable, and then the position up to which it is. A sync of a received
   * file that finds no space is not final as elsewhere: the transfer is dropped with its files, and
   * the next one writes new files.
   */
  async #save(transfer: Transfer): Promise<void> {
    const { disk } = this.#options;
    await transfer.file?.sync();
    for (const directory of transfer.dirty) await this.#syncEntries(transfer, directory);
    transfer.dirty.clear();
    transfer.unsavedBytes = 0;
    transfer.unsavedFiles = 0;
    await writePlace(disk, this.#shard, transfer.root, transfer.place);
  }

  /** Directories outside the root of the transfer have entries of other data too. */
  async #syncEntries(transfer: Transfer, directory: string): Promise<void> {
    const { disk } = this.#options;
    const isOwn = `${directory}/`.startsWith(`${this.#rootPath(transfer.root)}/`);
    await (isOwn ? disk.syncDirectory(directory) : syncDirectory(disk, directory));
  }

  /** A file that was lost in a crash or removed by an operator is received again. */
  async #mustExist(path: string): Promise<void> {
    refuseUnless(await isListed(this.#options.disk, path), "a file is gone");
  }

  async #refuseOld(index: number): Promise<void> {
    for (const text of await this.#options.disk.list(this.#options.directory)) {
      const name = parseCheckpointName(text);
      const isOlder = name === null || name.state === "part" || name.index < index;
      refuseUnless(isOlder, "there is a checkpoint that is not older");
    }
  }

  async #refuseWithoutRoom(bytes: number): Promise<void> {
    const { freeBytes } = await this.#options.disk.space();
    if (freeBytes >= bytes + this.#options.reserveBytes) return;
    throw new DiskFull(`a snapshot of ${bytes} bytes does not fit: ${freeBytes} are free`);
  }

  async #isInForce(root: number): Promise<boolean> {
    const names = await this.#options.disk.list(this.#options.directory);
    return names.map(parseCheckpointName).some((name) => {
      return name !== null && name.state !== "part" && name.root === root;
    });
  }

  /**
   * The number is above all that left a trace on the disk, so that no file of an older transfer is
   * taken for one of this transfer.
   */
  async #unusedRoot(): Promise<number> {
    const { disk, directory, partitionsDirectory } = this.#options;
    let highest = 0;
    for (const name of await disk.list(this.#shard)) {
      highest = Math.max(highest, rootOf(partitionsDirectory, name) ?? 0);
    }
    for (const name of await disk.list(directory)) {
      highest = Math.max(highest, parseCheckpointName(name)?.root ?? 0);
    }
    return highest + 1;
  }

  #current(): Transfer {
    assert(this.#transfer !== null, "a snapshot is being received");
    return this.#transfer;
  }

  #pathOf(transfer: Transfer, file: number): string {
    const { name = "" } = transfer.announcement.files[file] ?? {};
    return wireFilePath(this.#rootPath(transfer.root), name) ?? this.#part(transfer);
  }

  #part({ root, announcement }: Pick<Transfer, "root" | "announcement">): string {
    return `${this.#options.directory}/${checkpointName(announcement.index, root, "part")}`;
  }

  #rootPath(root: number): string {
    return rootDirectory(this.#options.partitionsDirectory, root);
  }
}

const newTransfer = (
  root: number,
  announcement: SnapshotAnnouncement,
  place: SnapshotPlace,
): Transfer => ({
  root,
  announcement,
  place,
  files: [],
  meta: null,
  file: null,
  dirty: new Set(),
  made: new Set(),
  verifiedFrom: place.file,
  unsavedBytes: 0,
  unsavedFiles: 0,
  isVerified: false,
});

function receivedBytes({ announcement, place }: Transfer): number {
  let bytes = place.position;
  for (const { length } of announcement.files.slice(0, place.file)) bytes += length;
  return bytes;
}

function isSame(a: SnapshotAnnouncement, b: SnapshotAnnouncement): boolean {
  return (
    a.index === b.index &&
    a.term === b.term &&
    a.files.length === b.files.length &&
    a.files.every(({ name, length }, i) => {
      const other = b.files[i];
      return other?.name === name && other.length === length;
    })
  );
}

/** Invalid data is the fault of the sender or the network, not of this disk. */
async function refusing<T>(check: () => Promise<T>): Promise<T> {
  try {
    return await check();
  } catch (cause) {
    const isWrong = cause instanceof CheckpointDamaged || cause instanceof PartitionDamaged;
    if (!isWrong) throw cause;
    throw new SnapshotDamaged(`snapshot refused: ${cause.message}`, { cause });
  }
}
