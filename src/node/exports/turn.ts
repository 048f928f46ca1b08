/** One step of an export under a leader: a file, a manifest, or files that are removed. */

import { feature as faultPoint } from "bun:bundle";
import type { TopicState } from "../../broker/state.ts";
import { removedExportFile } from "../../export/commands/close-export.ts";
import { commitExportFile } from "../../export/commands/export-file.ts";
import { listExportManifest, sealExportManifest } from "../../export/commands/export-manifest.ts";
import { MANIFEST_FILES_MAX } from "../../export/definition.ts";
import type { ExportPartition, ExportState, OpenRange } from "../../export/state.ts";
import { pathOf } from "../../parquet/layout.ts";
import { handleOf } from "../partition-handle.ts";
import type { Commander } from "../writes/commander.ts";
import { LATEST, latestText, manifestName, manifestText, ownerOf } from "./manifest.ts";
import type { ExportStatus } from "./status.ts";
import type { ExportJob, ExportWriter } from "./writer.ts";

/** Bytes that are read at once on the thread of the node: well below a millisecond of work. */
const READ_BYTES = 128 * 1024;
/** With so many unlisted files, a manifest comes before the next file. */
const UNLISTED_TARGET = 32;
/** A request of the leader before this one, or one that failed, can arrive this late. */
const POINTER_AGAIN_MS = 150_000;
const COMMAND_BYTES = 256;

export type TurnOptions = {
  readonly commander: Commander;
  readonly writer: ExportWriter;
  readonly status: ExportStatus;
  readonly nowMs: number;
};

/** An export, and its topic unless it has ended. */
export type WorkingExport = { readonly one: ExportState; readonly topic: TopicState | null };

/** True if there is something to do. */
export function hasWork({ one }: WorkingExport, status: ExportStatus, nowMs: number): boolean {
  const isUnlisted = one.sealed > 0 || one.files.length > one.listed;
  const isOpenOrUnlisted = isUnlisted || one.partitions.some(isOpen);
  return (
    isOpenOrUnlisted || needsPointer(one.manifest, status, nowMs) || canRemove(one, status, nowMs)
  );
}

const canRemove = ({ givenUp }: ExportState, { removeAtMs }: ExportStatus, nowMs: number) =>
  givenUp.length > 0 && nowMs >= removeAtMs;

const isOpen = ({ open }: ExportPartition): boolean => open !== null;

const needsPointer = (manifest: number, { pointerAtMs }: ExportStatus, nowMs: number): boolean =>
  manifest > 0 &&
  (pointerAtMs === null || (pointerAtMs > 0 && nowMs - pointerAtMs > POINTER_AGAIN_MS));

/** @throws Error that says what failed, or the reason of the signal. */
export async function takeTurn(
  found: WorkingExport,
  options: TurnOptions,
  signal: AbortSignal,
): Promise<void> {
  const { one } = found;
  const { status, nowMs } = options;
  await checkPlace(found, options);
  if (needsPointer(one.manifest, status, nowMs)) {
    await writePointer(one, latestText(one, one.manifest), options);
    // The second time is the last one.
    status.pointerAtMs = status.pointerAtMs === null ? nowMs : 0;
  }
  const unlisted = one.files.length - one.listed;
  const mine = nextOpen(one.partitions, status.runningPartition);
  if (mine !== undefined && mine.open !== null && unlisted < UNLISTED_TARGET) {
    status.runningPartition = mine.partition;
    await writeFile(found, mine, mine.open, options, signal);
  } else if (one.sealed > 0) {
    await writeManifest(found, options);
  } else if (canRemove(one, status, nowMs)) {
    await removeGivenUp(found, options);
  } else if (unlisted > 0) {
    const fields = {
      exportId: one.exportId,
      manifest: one.manifest + 1,
      count: Math.min(one.files.length, MANIFEST_FILES_MAX),
    };
    await run(options.commander, { kind: sealExportManifest, fields });
  }
}

/** Partitions take turns. */
function nextOpen(
  partitions: readonly ExportPartition[],
  after: number,
): ExportPartition | undefined {
  const later = partitions.find((each) => each.partition > after && isOpen(each));
  return later ?? partitions.find(isOpen);
}

/** A place that has a manifest belongs to the export that wrote it. */
async function checkPlace({ one }: WorkingExport, { writer, status }: TurnOptions): Promise<void> {
  if (status.isPlaceChecked) return;
  if (one.manifest === 0) {
    const { url } = one.definition;
    const owner = ownerOf(await writer.get(url, LATEST));
    if (owner !== null && owner !== one.identity) {
      throw new Error(
        `${url} holds the files of another export (${owner}): use another place, or remove ${LATEST}`,
      );
    }
  }
  status.isPlaceChecked = true;
}

async function writeFile(
  { one, topic }: WorkingExport,
  { partition }: ExportPartition,
  { first, end, day, definition }: OpenRange,
  { commander, writer }: TurnOptions,
  signal: AbortSignal,
): Promise<void> {
  const its = topic?.partitions[partition];
  if (its === undefined) return;
  const { url, compression, format, topic: name } = definition;
  const path = pathOf({ topic: name, day, partition, first, end });
  const job: ExportJob = {
    ...{ url, path, compression, format },
    ...{ topic: name, partition, first, end },
  };
  const read = async (from: number): Promise<Uint8Array<ArrayBuffer>> => {
    signal.throwIfAborted();
    if (from < its.lowWatermark) throw new Error(`retention has deleted offset ${from} of ${path}`);
    const slices = await handleOf(its).log.read(from, end - from, READ_BYTES);
    return joined(slices);
  };
  const range = { exportId: one.exportId, partition, first, end };
  if (faultPoint("export-file-counts-before-it-is-stored")) {
    const fields = { ...range, rows: end - first, bytes: 0 };
    await run(commander, { kind: commitExportFile, fields });
  }
  const { rows, bytes } = await writer.write(job, read, signal);
  const fields = { ...range, rows, bytes };
  await run(commander, { kind: commitExportFile, fields });
}

/** A copy, because the memory goes to another thread. */
function joined(slices: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(slices.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const slice of slices) {
    whole.set(slice, at);
    at += slice.length;
  }
  return whole;
}

async function writeManifest({ one }: WorkingExport, options: TurnOptions): Promise<void> {
  const { commander, writer, status, nowMs } = options;
  const manifest = one.manifest + 1;
  const { url } = one.definition;
  // Both before they wait: the state may change meanwhile.
  const [text, latest] = [manifestText(one), latestText(one, manifest)];
  await writer.put(url, manifestName(manifest), text);
  await writePointer(one, latest, options);
  status.pointerAtMs ??= nowMs;
  const fields = { exportId: one.exportId, manifest };
  await run(commander, { kind: listExportManifest, fields });
}

/** A request that failed may still arrive and set the pointer back, so it is written again later. */
async function writePointer(
  { definition }: ExportState,
  text: string,
  { writer, status }: TurnOptions,
): Promise<void> {
  try {
    await writer.put(definition.url, LATEST, text);
  } catch (error) {
    if (!faultPoint("export-pointer-set-back")) status.pointerAtMs = null;
    throw error;
  }
}

/**
 * Removes files of ranges that were given up. This node writes no other file of the export meanwhile,
 * so none of them appears again, except by a late request of an earlier leader.
 */
async function removeGivenUp({ one }: WorkingExport, options: TurnOptions): Promise<void> {
  const { commander, writer, status, nowMs } = options;
  const { exportId, definition } = one;
  for (const { partition, first, end, day } of [...one.givenUp]) {
    const path = pathOf({ topic: definition.topic, day, partition, first, end });
    try {
      if (!faultPoint("export-files-given-up-stay")) await writer.remove(definition.url, path);
    } catch (error) {
      // Keys that may not delete must not stop an export that goes on.
      if (one.closedAtMs > 0) throw error;
      status.notRemoved(error instanceof Error ? error.message : String(error), nowMs);
      return;
    }
    await run(commander, { kind: removedExportFile, fields: { exportId, partition, first, end } });
  }
}

type Command = Pick<Parameters<Commander["run"]>[0], "kind" | "fields">;

/** @throws Error if this node does not lead any more, or the log refuses the command. */
async function run(commander: Commander, { kind, fields }: Command): Promise<void> {
  const result = await commander.run({ kind, fields, bytes: COMMAND_BYTES, done: () => null });
  if (result !== null) throw new Error(`the log refused the command: ${result.code}`);
}
