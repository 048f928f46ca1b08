/** Commands of the leader: which range the next file has, and that the file is in its place. */
import { feature as faultPoint } from "bun:bundle";
import type { HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { EXPORTS_FEATURE, EXPORTS_LEVEL, UNLISTED_MAX } from "../definition.ts";
import { findExport, type HasExports, noticeLoss } from "../state.ts";

const LEVELED = { level: EXPORTS_LEVEL, feature: EXPORTS_FEATURE };
type State = HasBroker & HasExports;

/**
 * Decides the range of the next file of a partition. From then on every leader writes this file and
 * no other one, until it is committed or retention has removed some of its records.
 */
export type PlanExportFile = {
  readonly type: "plan_export_file";
  readonly exportId: number;
  readonly partition: number;
  readonly first: number;
  readonly end: number;
  readonly day: number;
};
export type PlanExportFileResult = {
  readonly ok: true;
  readonly type: "plan_export_file";
  /** False if the range is not the next one any more. */
  readonly planned: boolean;
};

export const planExportFile: LeveledKind<PlanExportFile, PlanExportFileResult, State> = {
  ...LEVELED,
  type: "plan_export_file",
  tag: 114,
  encode(body, { exportId, partition, first, end, day }) {
    body.varint(exportId);
    body.varint(partition);
    body.varint(first);
    body.varint(end);
    body.varint(day);
  },
  decode: (body) => ({
    type: "plan_export_file",
    exportId: body.varint(),
    partition: body.varint(),
    first: body.varint(),
    end: body.varint(),
    day: body.varint(),
  }),
  apply: (state, command) => ({
    ok: true,
    type: "plan_export_file",
    planned: plan(state, command),
  }),
  summarize: ({ planned }, summary) => summary.flag(planned),
};

function plan(
  { broker, parts }: State,
  { exportId, partition, first, end, day }: PlanExportFile,
): boolean {
  const found = findExport(parts.exports, broker, exportId);
  const mine = found?.one.partitions[partition];
  const its = found?.topic.partitions[partition];
  if (found === undefined || mine === undefined || its === undefined) return false;
  const { one } = found;
  noticeLoss(one, mine, its);
  if (mine.open !== null && !faultPoint("export-range-decided-twice")) return false;
  const isNext = first === mine.next && end > first && end <= its.endOffset;
  if (!isNext || one.isPaused || one.files.length - one.listed >= UNLISTED_MAX) return false;
  mine.open = { first, end, day, definition: one.definition };
  return true;
}

/** The file of a range is in its place. */
export type CommitExportFile = {
  readonly type: "commit_export_file";
  readonly exportId: number;
  readonly partition: number;
  readonly first: number;
  readonly end: number;
  /** 0: a filter left out all records, and there is no file. */
  readonly rows: number;
  readonly bytes: number;
};
export type CommitExportFileResult = {
  readonly ok: true;
  readonly type: "commit_export_file";
  /** False if another commit was first, or the range was given up. */
  readonly committed: boolean;
};

export const commitExportFile: LeveledKind<
  CommitExportFile,
  CommitExportFileResult,
  State & { readonly now: number }
> = {
  ...LEVELED,
  type: "commit_export_file",
  tag: 115,
  encode(body, { exportId, partition, first, end, rows, bytes }) {
    body.varint(exportId);
    body.varint(partition);
    body.varint(first);
    body.varint(end);
    body.varint(rows);
    body.varint(bytes);
  },
  decode: (body) => ({
    type: "commit_export_file",
    exportId: body.varint(),
    partition: body.varint(),
    first: body.varint(),
    end: body.varint(),
    rows: body.varint(),
    bytes: body.varint(),
  }),
  apply: (state, command) => ({
    ok: true,
    type: "commit_export_file",
    committed: commit(state, command),
  }),
  summarize: ({ committed }, summary) => summary.flag(committed),
};

function commit(
  { parts, now }: HasExports & { readonly now: number },
  { exportId, partition, first, end, rows, bytes }: CommitExportFile,
): boolean {
  const one = parts.exports.byId.get(exportId);
  const mine = one?.partitions[partition];
  if (one === undefined || mine?.open?.first !== first || mine.open.end !== end) return false;
  const { day } = mine.open;
  if (!faultPoint("export-file-committed-twice")) mine.open = null;
  mine.next = end;
  if (rows === 0) return true;
  mine.files++;
  mine.rows += rows;
  mine.bytes += bytes;
  one.files.push({ partition, first, end, day, rows, bytes, committedAtMs: now });
  return true;
}
