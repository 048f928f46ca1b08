/** Exports: which ranges of a topic are in files, which one is being written, which files are listed. */

import { feature as faultPoint } from "bun:bundle";
import type { BrokerState, PartitionState, TopicState } from "../broker/state.ts";
import { type CommandRejected, commandRejected, type Rejecting } from "../lib/command-rejected.ts";
import { type ExportDefinition, GIVEN_UP_MAX } from "./definition.ts";

/** A range whose file is decided and not committed. Replaced, never changed. */
export type OpenRange = {
  readonly first: number;
  /** The offset after the last one. */
  readonly end: number;
  /** Days since 1970 in UTC, the date of its records. */
  readonly day: number;
  /** As it was when the range was decided, so that every leader writes the same file. */
  readonly definition: ExportDefinition;
};

/** A committed file. */
export type ExportedFile = {
  readonly partition: number;
  readonly first: number;
  readonly end: number;
  readonly day: number;
  readonly rows: number;
  readonly bytes: number;
  readonly committedAtMs: number;
};

/** A file that was decided and will not be committed. It may be in the place, and is removed. */
export type GivenUpFile = Pick<ExportedFile, "partition" | "first" | "end" | "day">;

export class ExportPartition {
  readonly partition: number;
  /** Records below are in files, left out by a filter, or lost. */
  next: number;
  open: OpenRange | null = null;
  /** A flush was asked for up to this offset. */
  flushTo = 0;
  files = 0;
  rows = 0;
  bytes = 0;
  /** Records that retention or a deletion removed before they were exported. */
  lost = 0;

  constructor(partition: number, next: number) {
    this.partition = partition;
    this.next = next;
  }
}

export class ExportState {
  readonly exportId: number;
  readonly name: string;
  readonly topicId: number;
  readonly createdAtMs: number;
  readonly partitions: readonly ExportPartition[];
  definition: ExportDefinition;
  isPaused = false;
  /** The number of the last manifest that is written; 0: none. */
  manifest = 0;
  /** The last manifest that is full; 0: none. It has the files before those in `files`. */
  previous = 0;
  /** Committed files that are not in a full manifest, in the order of their commits. */
  files: ExportedFile[] = [];
  /** The number of them that the last manifest has. */
  listed = 0;
  /** The number of them that the next manifest has, once that is decided; 0: it is not. */
  sealed = 0;
  /** Files that are to be removed from the place. */
  givenUp: GivenUpFile[] = [];
  /** When the export was deleted; 0: it was not. */
  closedAtMs = 0;

  constructor(
    exportId: number,
    name: string,
    topicId: number,
    createdAtMs: number,
    definition: ExportDefinition,
    partitions: readonly ExportPartition[],
  ) {
    this.exportId = exportId;
    this.name = name;
    this.topicId = topicId;
    this.createdAtMs = createdAtMs;
    this.definition = definition;
    this.partitions = partitions;
  }

  /** Nothing is left to be listed or removed. */
  get isFinished(): boolean {
    return this.givenUp.length === 0 && this.sealed === 0 && this.files.length === this.listed;
  }

  /** Identity that a restored backup keeps and that no other export has. */
  get identity(): string {
    return `${this.createdAtMs}-${this.exportId}`;
  }
}

export class ExportsState {
  readonly byName = new Map<string, ExportState>();
  readonly byId = new Map<number, ExportState>();
  /** Deleted exports by id, until their last manifest is written and their last files are removed. */
  readonly closing = new Map<number, ExportState>();
  /** Ids grow from 1 and are never reused. */
  nextExportId = 1;
  /** Not replicated as such: bytes of the texts of all definitions. */
  formatBytes = 0;
}

/** The part of the replicated state that commands of exports need, besides the broker. */
export type HasExports = { readonly parts: { readonly exports: ExportsState } };

export type ExportRejectCode =
  | "export_not_found"
  | "export_exists"
  | "export_url_taken"
  | "too_many_exports"
  | "topic_not_found";

export type ExportRejected<Code extends ExportRejectCode = ExportRejectCode> =
  CommandRejected<Code>;

export const exportRejected: Rejecting<ExportRejectCode> = commandRejected;

export const formatBytesOf = ({ url, format }: ExportDefinition): number =>
  url.length + format.length;

export function addExport(state: ExportsState, one: ExportState): void {
  state.byName.set(one.name, one);
  state.byId.set(one.exportId, one);
  state.formatBytes += formatBytesOf(one.definition);
}

/**
 * Ends an export. No range of it goes on. Its committed files are listed, and the other ones removed,
 * before it is forgotten.
 */
export function closeExport(state: ExportsState, one: ExportState, nowMs: number): void {
  state.byName.delete(one.name);
  state.byId.delete(one.exportId);
  for (const mine of one.partitions) giveUp(one, mine);
  one.isPaused = false;
  one.closedAtMs = Math.max(1, nowMs);
  state.closing.set(one.exportId, one);
  forgetIfFinished(state, one);
}

/** Called when something of an export was listed or removed. */
export function forgetIfFinished(state: ExportsState, one: ExportState): void {
  if (one.closedAtMs > 0 && one.isFinished) forgetExport(state, one);
}

/** Forgets a deleted export. */
export function forgetExport(state: ExportsState, one: ExportState): void {
  if (state.closing.delete(one.exportId)) state.formatBytes -= formatBytesOf(one.definition);
}

/** An export that exists, or one that was deleted and is not finished. */
export const exportOfId = (state: ExportsState, exportId: number): ExportState | undefined =>
  state.byId.get(exportId) ?? state.closing.get(exportId);

function giveUp(one: ExportState, mine: ExportPartition): void {
  if (mine.open === null) return;
  const { first, end, day } = mine.open;
  if (one.givenUp.length >= GIVEN_UP_MAX) one.givenUp.shift();
  one.givenUp.push({ partition: mine.partition, first, end, day });
  mine.open = null;
}

/** An export whose topic exists. */
export type FoundExport = { readonly one: ExportState; readonly topic: TopicState };

/** @returns undefined if there is no such export, or its topic was deleted. */
export function findExportByName(
  state: ExportsState,
  broker: BrokerState,
  name: string,
): FoundExport | undefined {
  return found(state.byName.get(name), broker);
}

/** The same by its id. */
export function findExport(
  state: ExportsState,
  broker: BrokerState,
  exportId: number,
): FoundExport | undefined {
  return found(state.byId.get(exportId), broker);
}

function found(one: ExportState | undefined, broker: BrokerState): FoundExport | undefined {
  const topic = one === undefined ? undefined : broker.topicsById.get(one.topicId);
  return one === undefined || topic === undefined ? undefined : { one, topic };
}

/** Counts records that are gone, and gives up a range that lost some of them. */
export function noticeLoss(
  one: ExportState,
  mine: ExportPartition,
  { lowWatermark }: PartitionState,
): void {
  if (mine.next >= lowWatermark) return;
  if (!faultPoint("export-loss-not-counted")) mine.lost += lowWatermark - mine.next;
  mine.next = lowWatermark;
  giveUp(one, mine);
}
