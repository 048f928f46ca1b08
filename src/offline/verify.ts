/** Verifies every checksum of a data directory. Nothing is changed. */
import type { Disk } from "../env/disk.ts";
import { ReadOnlyDisk } from "../env/read-only-disk.ts";
import { SHARD_0 } from "../lib/ids.ts";
import { identityOf, shardPaths } from "../storage/data-dir.ts";
import { type Finding, Findings } from "./findings.ts";
import { verifyCheckpoints } from "./verify-checkpoints.ts";
import { verifyHardState, verifyIdentity, verifyIncoming } from "./verify-identity.ts";
import { verifyJournal } from "./verify-journal.ts";

/** Number of passes over a directory in use: damage that moves was a file being written. */
const LOOKS_IN_USE = 3;

export type Verification = {
  readonly findings: readonly Finding[];
  readonly files: number;
  readonly bytes: number;
};

export type VerifyOptions = {
  /** Disk of the data directory; it is only read. */
  readonly disk: Disk;
  /** True if a node uses the directory. */
  readonly inUse: boolean;
  readonly nextTurn: () => Promise<void>;
};

/** @throws NoDataDir, DataDirUnsupported */
export async function verifyDataDir(options: VerifyOptions): Promise<Verification> {
  const first = await look(options);
  if (!options.inUse) return first;
  let damage = first.findings.filter(({ kind }) => kind === "damage");
  for (let looks = 1; looks < LOOKS_IN_USE && damage.length > 0; looks++) {
    const { findings } = await look(options);
    damage = damage.filter((before) => findings.some((now) => isSame(now, before)));
  }
  // Torn ends and unfinished files are normal while a node is running.
  return { ...first, findings: damage };
}

async function look({ disk, nextTurn }: VerifyOptions): Promise<Verification> {
  const readOnly = new ReadOnlyDisk(disk);
  const findings = new Findings();
  const identity = await verifyIdentity(readOnly, findings);
  if (identity !== null) {
    const paths = shardPaths(SHARD_0);
    const seed = identityOf(identity.storageId, SHARD_0);
    await verifyHardState(readOnly, paths, seed, findings);
    const scope = { disk: readOnly, findings, nextTurn };
    const { journal: directory, checkpoints } = paths;
    const journal = await verifyJournal({ ...scope, directory, checkpoints, identity: seed });
    const { clusterId } = identity;
    await verifyCheckpoints({ ...scope, paths, clusterId }, journal);
    await verifyIncoming(readOnly, paths, findings);
  }
  const { list, files, bytes } = findings;
  return { findings: list, files, bytes };
}

const isSame = (a: Finding, b: Finding): boolean =>
  a.file === b.file && a.position === b.position && a.problem === b.problem;
