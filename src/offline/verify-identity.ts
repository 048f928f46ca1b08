/** Verifies the identity of the directory, term and vote, and unfinished transfers. */
import type { Disk } from "../env/disk.ts";
import { incomingDirectory, readRecord } from "../storage/checkpoints/incoming.ts";
import {
  DataDirDamaged,
  type DataDirIdentity,
  readIdentity,
  refuseHalfRestored,
  type ShardPaths,
} from "../storage/data-dir.ts";
import { decodeSlots, HardStateUnsupported } from "../storage/hard-state.ts";
import type { Findings } from "./findings.ts";

/** The directory does not exist or contains no data of Ayder. */
export class NoDataDir extends Error {
  override readonly name = "NoDataDir";
}

/**
 * @returns null if FORMAT is damaged, because it contains the seed of all other checksums.
 * @throws NoDataDir, DataDirUnsupported
 */
export async function verifyIdentity(
  disk: Disk,
  findings: Findings,
): Promise<DataDirIdentity | null> {
  try {
    await refuseHalfRestored(disk);
    const identity = await readIdentity(disk);
    if (identity === null && !(await disk.list("")).includes("shards")) {
      throw new NoDataDir("not a data directory of Ayder");
    }
    if (identity === null) throw new DataDirDamaged("the file is missing");
    findings.checked(0);
    return identity;
  } catch (error) {
    if (!(error instanceof DataDirDamaged)) throw error;
    const advice = "restore it from a copy; no other checksum can be verified without it";
    findings.damage({ file: "FORMAT" }, error.message, advice);
    return null;
  }
}

export async function verifyHardState(
  disk: Disk,
  { hardState: file }: ShardPaths,
  identity: number,
  findings: Findings,
): Promise<void> {
  const advice =
    "a member of a cluster may have voted: replace its data directory and let it join again; " +
    "a node alone continues in a later term at the next start";
  const bytes = await disk.readWhole(file);
  if (bytes === null) {
    findings.damage({ file }, "the file is missing: term and vote are unknown", advice);
    return;
  }
  findings.checked(bytes.length);
  try {
    const { a, b } = decodeSlots(bytes, identity, file);
    if (a === null && b === null) {
      findings.damage({ file, position: 0 }, "both slots have a wrong checksum", advice);
    } else if (a === null || b === null) {
      const position = a === null ? 0 : bytes.length / 2;
      findings.note(
        { file, position },
        `slot ${a === null ? "A" : "B"} is damaged; the other one is intact and is used`,
        "the next start repairs it",
      );
    }
  } catch (error) {
    if (!(error instanceof HardStateUnsupported)) throw error;
    findings.damage({ file }, error.message, "use the version that wrote it");
  }
}

/** Reports an incomplete incoming snapshot, which is ignored and sent again. */
export async function verifyIncoming(
  disk: Disk,
  { root }: ShardPaths,
  findings: Findings,
): Promise<void> {
  const directory = incomingDirectory(root);
  const names = await disk.list(directory);
  if (!names.includes("announcement")) return;
  const file = `${directory}/announcement`;
  const record = await readRecord(disk, root);
  const problem =
    record === null
      ? "wrong checksum"
      : `a snapshot of index ${record.announcement.index} was being received`;
  findings.note(
    { file },
    problem,
    "the next start deletes the received part; the leader sends it again",
  );
}
