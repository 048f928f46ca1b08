/**
 * The layout of a data directory:
 *
 *     RESTORING                a restore is at work here, or was when it was killed
 *     LOCK                     held by the process that uses the directory (env/data-lock.ts)
 *     FORMAT                   JSON: format version, cluster, storage id of this disk, checksum
 *     shards/0/hard-state      term and vote (hard-state.ts)
 *     shards/0/journal/        segments of the journal (journal.ts)
 *     shards/0/partitions/     partition logs
 *     shards/0/checkpoints/    checkpoints
 *
 * FORMAT is written last, so a first start that was interrupted is simply done again; and once it
 * is there, a missing hard state is damage and not a fresh start.
 */
import type { Disk } from "../env/disk.ts";
import { assert } from "../lib/assert.ts";
import { fromUtf8, utf8 } from "../lib/bytes.ts";
import { crc32 } from "../lib/crc32.ts";
import type { ShardId } from "../lib/ids.ts";
import { SHARD_0 } from "../lib/ids.ts";
import { HardStateFile } from "./hard-state.ts";

/** The format of a directory in which each partition has files of its own. */
export const FORMAT_VERSION = 1;
/** The format from the first file that partitions share. Earlier versions refuse the directory. */
export const FORMAT_SHARED = 2;
const FORMATS: readonly number[] = [FORMAT_VERSION, FORMAT_SHARED];
const FORMAT_FILE = "FORMAT";
const RESTORING_FILE = "RESTORING";

/** Thrown for a directory of another version or of another program. Nothing was changed. */
export class DataDirUnsupported extends Error {
  override readonly name = "DataDirUnsupported";
}

/** Thrown if a restore would write into a directory that is not empty. Nothing was changed. */
export class DataDirNotEmpty extends Error {
  override readonly name = "DataDirNotEmpty";
}

/** Thrown if FORMAT cannot be read, so that the owner of the data is unknown. */
export class DataDirDamaged extends Error {
  override readonly name = "DataDirDamaged";
}

export type DataDirIdentity = {
  /** Null until the node has learned its cluster id. */
  readonly clusterId: string | null;
  /**
   * Each empty disk gets a new one, so a node that lost its disk is not mistaken for the one that
   * voted before.
   */
  readonly storageId: string;
};

/** The content of FORMAT. */
export type DataDirFormat = DataDirIdentity & { readonly format: number };

export type ShardPaths = {
  readonly root: string;
  readonly hardState: string;
  readonly journal: string;
  readonly partitions: string;
  readonly checkpoints: string;
};

export class DataDir {
  readonly #disk: Disk;
  #content: DataDirFormat;
  #writing: Promise<void> = Promise.resolve();
  /** Whether this start created the directory. */
  readonly fresh: boolean;

  /**
   * @param initial the content of a new directory; ignored if there is one already.
   * @throws DataDirUnsupported, DataDirDamaged, DiskFailure
   */
  static async open(disk: Disk, initial: DataDirIdentity): Promise<DataDir> {
    const identity = await readIdentity(disk);
    if (identity !== null) {
      await syncDirectories(disk);
      return new DataDir(disk, identity, false);
    }
    await refuseForeign(disk);
    return await DataDir.create(disk, initial);
  }

  /** Fills an empty directory. FORMAT is written last. */
  static async create(disk: Disk, identity: DataDirIdentity): Promise<DataDir> {
    await makeShard(disk, SHARD_0, identity);
    const format = { ...identity, format: FORMAT_VERSION };
    await disk.writeWhole(FORMAT_FILE, encodeFormat(format));
    return new DataDir(disk, format, true);
  }

  private constructor(disk: Disk, content: DataDirFormat, fresh: boolean) {
    this.#disk = disk;
    this.#content = content;
    this.fresh = fresh;
  }

  get identity(): DataDirIdentity {
    const { clusterId, storageId } = this.#content;
    return { clusterId, storageId };
  }

  get format(): number {
    return this.#content.format;
  }

  shard(id: ShardId): ShardPaths {
    return shardPaths(id);
  }

  /** Seeds the checksums of the shard's files, so that files of another disk are refused. */
  checksumIdentity(id: ShardId): number {
    return identityOf(this.#content.storageId, id);
  }

  /** Records the cluster id, once, when the node learns it. Durable when it resolves. */
  async recordClusterId(clusterId: string): Promise<void> {
    if (this.#content.clusterId === clusterId) return;
    assert(this.#content.clusterId === null, "a disk never changes its cluster");
    await this.#change({ clusterId });
  }

  /** Must be durable before a checkpoint names a file that partitions share. */
  async allowShared(): Promise<void> {
    if (this.#content.format < FORMAT_SHARED) await this.#change({ format: FORMAT_SHARED });
  }

  #change(fields: Partial<DataDirFormat>): Promise<void> {
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(async () => {
        const content = { ...this.#content, ...fields };
        await this.#disk.writeWhole(FORMAT_FILE, encodeFormat(content));
        this.#content = content;
      });
    return this.#writing;
  }
}

/** @returns null if there is no FORMAT. @throws DataDirUnsupported, DataDirDamaged */
export async function readIdentity(disk: Disk): Promise<DataDirFormat | null> {
  const bytes = await disk.readWhole(FORMAT_FILE);
  return bytes === null ? null : decodeFormat(bytes);
}

/**
 * Marks an empty directory as being restored: no node starts in it until `endRestore`. Files that
 * belong to the root of a volume stay (`isOfVolume`).
 *
 * @param userOf returns the process that uses the directory, or null.
 * @throws DataDirNotEmpty
 */
export async function beginRestore(disk: Disk, userOf: () => number | null): Promise<void> {
  refuseInUse(userOf());
  refuseNotEmpty(await disk.list(""), []);
  const marker = await disk.open(RESTORING_FILE, "create");
  await marker.close();
  await disk.syncDirectory("");
  try {
    // A node may start at the same moment. It takes its lock before it checks for the marker.
    refuseInUse(userOf());
    refuseNotEmpty(await disk.list(""), [RESTORING_FILE]);
  } catch (error) {
    await endRestore(disk);
    throw error;
  }
}

/** Removes the marker. Only after this step can a node start in the directory. */
export async function endRestore(disk: Disk): Promise<void> {
  await disk.remove(RESTORING_FILE);
  await disk.syncDirectory("");
}

/**
 * Removes the files that were restored into a directory that `beginRestore` marked. The marker is
 * removed last.
 */
export async function abandonRestore(disk: Disk): Promise<void> {
  for (const name of await disk.list("")) {
    if (name !== RESTORING_FILE && !isOfVolume(name)) await disk.removeTree(name);
  }
  await endRestore(disk);
}

function refuseInUse(user: number | null): void {
  if (user !== null) throw new DataDirNotEmpty(`the directory is in use by process ${user}`);
}

/**
 * Tells whether a name belongs to the volume and not to its user. The root of a new file system has
 * `lost+found` and quota files, and other systems keep snapshots, bins and indexes under hidden
 * names. A failed first start of a node leaves `LOCK`; a running node is refused before.
 */
const isOfVolume = (name: string): boolean =>
  /^(lost\+found|a?quota\.(user|group|project)|System Volume Information|\$RECYCLE\.BIN|LOCK|\..*)$/.test(
    name,
  );

function refuseNotEmpty(names: readonly string[], expected: readonly string[]): void {
  const others = names.filter((name) => !isOfVolume(name) && !expected.includes(name));
  if (others.length === 0) return;
  const isInterrupted = others.includes(RESTORING_FILE);
  throw new DataDirNotEmpty(
    isInterrupted
      ? "a restore into this directory was interrupted, or is under way: remove what is in it first"
      : `the directory is not empty: it has ${others.slice(0, 3).join(", ")}`,
  );
}

/** @throws DataDirDamaged */
export async function refuseHalfRestored(disk: Disk): Promise<void> {
  if (!(await disk.list("")).includes(RESTORING_FILE)) return;
  throw new DataDirDamaged(
    "a restore into the data directory was not finished: remove what is in it and restore again",
  );
}

export function shardPaths(id: ShardId): ShardPaths {
  const root = `shards/${id}`;
  return {
    root,
    hardState: `${root}/hard-state`,
    journal: `${root}/journal`,
    partitions: `${root}/partitions`,
    checkpoints: `${root}/checkpoints`,
  };
}

/** Seeds the checksums of a shard's files on this disk. */
export const identityOf = (storageId: string, id: ShardId): number =>
  crc32(utf8(`${storageId}/${id}`));

/**
 * Syncs the directories that a start relies on. After a kill, a rename, a new file or a removal may
 * be in the page cache only. If a power loss followed a start that relied on it, an installed
 * snapshot, a journal segment or FORMAT would be gone, or RESTORING would be back.
 */
async function syncDirectories(disk: Disk): Promise<void> {
  const { root, journal, partitions, checkpoints } = shardPaths(SHARD_0);
  for (const path of [journal, checkpoints, partitions, root, "shards", ""]) {
    if ((await disk.list(path)).length > 0) await disk.syncDirectory(path);
  }
}

/** A directory with data but without FORMAT must not be filled. */
async function refuseForeign(disk: Disk): Promise<void> {
  const { journal, checkpoints, partitions } = shardPaths(SHARD_0);
  for (const path of [journal, checkpoints, partitions]) {
    if ((await disk.list(path)).length === 0) continue;
    throw new DataDirDamaged(
      `the data directory has files in ${path} but no FORMAT file; restore FORMAT or start with ` +
        "an empty directory",
    );
  }
}

async function makeShard(disk: Disk, id: ShardId, identity: DataDirIdentity): Promise<void> {
  const paths = shardPaths(id);
  for (const path of [paths.journal, paths.partitions, paths.checkpoints]) {
    await disk.makeDirectory(path);
  }
  await HardStateFile.create(disk, paths.hardState, identityOf(identity.storageId, id));
  for (const path of [paths.root, "shards", ""]) await disk.syncDirectory(path);
}

export function encodeFormat(identity: DataDirFormat): Uint8Array {
  const body = {
    format: identity.format,
    clusterId: identity.clusterId,
    incarnation: identity.storageId, // The name of the field in the file, from the first version.
  };
  const checksum = crc32(utf8(JSON.stringify(body)));
  return utf8(`${JSON.stringify({ ...body, checksum })}\n`);
}

/** @throws DataDirUnsupported, DataDirDamaged */
export function decodeFormat(bytes: Uint8Array): DataDirFormat {
  const fields = parseObject(bytes);
  const { format, clusterId, incarnation: storageId, checksum } = fields;
  if (typeof format === "number" && !FORMATS.includes(format)) {
    throw new DataDirUnsupported(
      `the data directory has format ${format}, and this version of Ayder reads ` +
        `${FORMATS.join(" and ")}: use the version that wrote it`,
    );
  }
  const body = { format, clusterId, incarnation: storageId };
  if (
    typeof format !== "number" ||
    checksum !== crc32(utf8(JSON.stringify(body))) ||
    typeof storageId !== "string" ||
    (clusterId !== null && typeof clusterId !== "string")
  ) {
    throw new DataDirDamaged("FORMAT of the data directory has a wrong checksum");
  }
  return { format, clusterId, storageId };
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(fromUtf8(bytes));
    if (typeof value === "object" && value !== null) return { ...value };
  } catch (cause) {
    throw new DataDirDamaged("FORMAT of the data directory is not JSON", { cause });
  }
  throw new DataDirDamaged("FORMAT of the data directory is not an object");
}
