/** `FILE` or `s3://bucket/name`, the place of a backup for backup, restore and verify. */
import type { ArchiveSource, ArchiveTarget, StoredFile } from "../env/archive.ts";
import { ArchiveExists, ArchiveUnavailable } from "../env/archive.ts";
import { createArchiveFile, listArchiveFiles, openArchiveFile } from "../env/archive-file.ts";
import {
  createS3Object,
  listS3Objects,
  openS3Object,
  parseS3Prefix,
  parseS3Url,
} from "../env/archive-s3.ts";
import { DiskFailure } from "../env/disk.ts";
import { BackupDamaged } from "../storage/backup/format.ts";
import { DataDirNotEmpty } from "../storage/data-dir.ts";
import { EXIT, type Io, UsageError } from "./command.ts";
import { viaProxy } from "./proxy.ts";

export const PLACE_NOTES: readonly string[] = [
  "s3://bucket/name is an object in a bucket. Its keys, region and endpoint come from",
  "S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_REGION, S3_ENDPOINT, or the same names with AWS_.",
];

/** @param expectedBytes size of the archive; 0 if it is not known. */
export async function createArchive(
  place: string,
  expectedBytes: number,
  io: Io,
): Promise<ArchiveTarget> {
  const name = parseS3Url(refuseHalfUrl(place));
  if (name === null) return await createArchiveFile(place);
  return await createS3Object(name, expectedBytes, proxyNote(io));
}

export async function openArchive(place: string, io: Io): Promise<ArchiveSource> {
  const name = parseS3Url(refuseHalfUrl(place));
  return name === null ? await openArchiveFile(place) : await openS3Object(name, proxyNote(io));
}

/** @param place a directory, `s3://bucket` or `s3://bucket/prefix`. */
export async function listArchives(place: string, io: Io): Promise<StoredFile[]> {
  const name = parseS3Prefix(place);
  if (name !== null) return await listS3Objects(name, proxyNote(io));
  if (isUrl(place)) {
    throw new UsageError(`${place} is neither a directory nor s3://bucket/prefix`);
  }
  return await listArchiveFiles(place);
}

/** For errors: the proxy between this machine and the bucket, if there is one. */
export function proxyNote({ environment }: Io): string {
  // As the runtime reads them: the first counts even if it is empty.
  const named = environment["S3_ENDPOINT"] ?? environment["AWS_ENDPOINT"];
  const endpoint = named || "s3.amazonaws.com";
  const url = /^https?:\/\//i.test(endpoint) ? endpoint : `https://${endpoint}`;
  return URL.canParse(url) ? viaProxy(url, environment) : "";
}

/** Rejects an incomplete URL, so that a typing mistake does not become a file of that name. */
function refuseHalfUrl(place: string): string {
  if (!isUrl(place) || parseS3Url(place) !== null) return place;
  throw new UsageError(`${place} is neither a file nor s3://bucket/name`);
}

export const isUrl = (place: string): boolean => /^[a-z0-9]+:\/\//i.test(place);

/** Prints an error that the user can fix. @returns the exit code. @throws any other error. */
export function explained(error: unknown, io: Io): number {
  const isUsual =
    error instanceof ArchiveExists ||
    error instanceof ArchiveUnavailable ||
    error instanceof BackupDamaged ||
    error instanceof DataDirNotEmpty ||
    error instanceof DiskFailure;
  if (!isUsual) throw error;
  io.err(`ayder: ${error.message}\n`);
  return error instanceof ArchiveUnavailable ? EXIT.unavailable : EXIT.refused;
}
