/** `ayder verify`: verifies every checksum of a data directory or a backup. */
import { ArchiveUnavailable } from "../env/archive.ts";
import { BunDisk } from "../env/bun-disk.ts";
import { lockHolder } from "../env/data-lock.ts";
import { isDirectory } from "../env/directories.ts";
import { DiskFailure } from "../env/disk.ts";
import type { Finding } from "../offline/findings.ts";
import { type Verification, verifyDataDir } from "../offline/verify.ts";
import { NoDataDir } from "../offline/verify-identity.ts";
import { BackupDamaged } from "../storage/backup/format.ts";
import { BackupReader } from "../storage/backup/reader.ts";
import { DataDirUnsupported } from "../storage/data-dir.ts";
import { openArchive } from "./archive-place.ts";
import { type Arguments, type Command, EXIT, type Io } from "./command.ts";
import { bytesText, counted } from "./table.ts";

export const VERIFY: Command = {
  name: "verify",
  summary: "verify every checksum of a data directory or backup",
  actions: [{ name: "", operands: "<dir|file|s3://bucket/name>", summary: "", run: runVerify }],
  options: { json: { type: "boolean", help: "print one JSON object" } },
  notes: [
    "Prints one line per finding: the problem, the file and byte, and what to do. `damage` means that",
    "data was lost. `note` is a normal trace of a crash, or damage that the next start repairs.",
    "Files are not changed, and write permission is not needed.",
    "The directory may be in use. Then a finding may be temporary; check again before you act on it.",
    "Exit codes: 0 intact (with or without notes), 1 damaged, 2 wrong usage, 78 cannot be opened.",
  ],
};

async function runVerify(args: Arguments, io: Io): Promise<number> {
  const place = args.operand(0);
  const json = args.flag("json");
  return isDirectory(place) ? await directory(place, json, io) : await archive(place, json, io);
}

async function directory(path: string, json: boolean, io: Io): Promise<number> {
  const holder = lockHolder(path);
  const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
  try {
    const disk = BunDisk.readOnly(path);
    const verification = await verifyDataDir({ disk, inUse: holder !== null, nextTurn });
    const damages = verification.findings.filter(({ kind }) => kind === "damage").length;
    await io.out(
      json
        ? `${JSON.stringify({ ok: damages === 0, dir: path, in_use_by: holder, ...verification })}\n`
        : text(path, verification, damages, holder),
    );
    return damages === 0 ? EXIT.ok : EXIT.refused;
  } catch (error) {
    return notOpened(path, error, io);
  }
}

async function archive(place: string, json: boolean, io: Io): Promise<number> {
  try {
    const source = await openArchive(place, io);
    const reader = await BackupReader.open(source, place);
    await reader.check();
    await source.close();
    const { head, files } = reader.contents;
    const bytes = reader.position;
    const told = { ok: true, backup: place, index: head.index, files: files.length, bytes };
    const line = `${place}: intact backup of index ${head.index}, ${bytesText(bytes)}`;
    await io.out(json ? `${JSON.stringify(told)}\n` : `${line}\n`);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof BackupDamaged)) return notOpened(place, error, io);
    const { position, message } = error;
    const told = { ok: false, backup: place, position, problem: message };
    await io.out(json ? `${JSON.stringify(told)}\n` : `damage ${message}\n`);
    return EXIT.refused;
  }
}

function notOpened(place: string, error: unknown, io: Io): number {
  const isKnown =
    error instanceof NoDataDir ||
    error instanceof DataDirUnsupported ||
    error instanceof DiskFailure ||
    error instanceof ArchiveUnavailable;
  if (!isKnown) throw error;
  io.err(`ayder: ${place}: ${error.message}\n`);
  return EXIT.start;
}

function text(
  path: string,
  { findings, files, bytes }: Verification,
  damages: number,
  holder: number | null,
): string {
  const lines = findings.map(line);
  if (holder !== null) lines.push(`in use by process ${holder}: findings may be temporary`);
  const verdict = damages === 0 ? "intact" : `DAMAGED: ${counted(damages, "place")}`;
  lines.push(`${path}: ${verdict}; ${files} files, ${bytesText(bytes)} read`, "");
  return lines.join("\n");
}

function line({ kind, file, position, problem, advice }: Finding): string {
  const where = position === null ? file : `${file} at byte ${position}`;
  return `${kind.padEnd(6)} ${where}: ${problem}. advice: ${advice}`;
}
