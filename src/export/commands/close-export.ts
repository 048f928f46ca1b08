/** Commands of the leader: what is left of exports that ended, and of files that were given up. */
import type { HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { EXPORTS_FEATURE, EXPORTS_LEVEL } from "../definition.ts";
import {
  closeExport,
  exportOfId,
  forgetExport,
  forgetIfFinished,
  type HasExports,
} from "../state.ts";

const LEVELED = { level: EXPORTS_LEVEL, feature: EXPORTS_FEATURE };

/** Ends an export whose topic was deleted, or forgets one that was deleted. */
export type EndExport = {
  readonly type: "end_export";
  readonly exportId: number;
  /**
   * Forget a deleted export with everything that is not listed or removed by now. A leader that did not
   * know that the export had ended already must not do this by accident.
   */
  readonly forget: boolean;
};
export type EndExportResult = {
  readonly ok: true;
  readonly type: "end_export";
  /** False if there is no such export, its topic exists, or it is to be forgotten and not deleted. */
  readonly ended: boolean;
};

type State = HasBroker & HasExports & { readonly now: number };

export const endExport: LeveledKind<EndExport, EndExportResult, State> = {
  ...LEVELED,
  type: "end_export",
  tag: 118,
  encode(body, { exportId, forget }) {
    body.varint(exportId);
    body.u8(forget ? 1 : 0);
  },
  decode: (body) => ({ type: "end_export", exportId: body.varint(), forget: body.u8() === 1 }),
  apply: (state, command) => ({ ok: true, type: "end_export", ended: end(state, command) }),
  summarize: ({ ended }, summary) => summary.flag(ended),
};

function end({ broker, parts, now }: State, { exportId, forget }: EndExport): boolean {
  const one = exportOfId(parts.exports, exportId);
  if (one === undefined || forget !== one.closedAtMs > 0) return false;
  if (forget) forgetExport(parts.exports, one);
  else if (broker.topicsById.has(one.topicId)) return false;
  else closeExport(parts.exports, one, now);
  return true;
}

/** A file that was given up is not in the place any more. */
export type RemovedExportFile = {
  readonly type: "removed_export_file";
  readonly exportId: number;
  readonly partition: number;
  readonly first: number;
  readonly end: number;
};
export type RemovedExportFileResult = {
  readonly ok: true;
  readonly type: "removed_export_file";
  /** False if this was told before. */
  readonly removed: boolean;
};

export const removedExportFile: LeveledKind<
  RemovedExportFile,
  RemovedExportFileResult,
  HasExports
> = {
  ...LEVELED,
  type: "removed_export_file",
  tag: 119,
  encode(body, { exportId, partition, first, end }) {
    body.varint(exportId);
    body.varint(partition);
    body.varint(first);
    body.varint(end);
  },
  decode: (body) => ({
    type: "removed_export_file",
    exportId: body.varint(),
    partition: body.varint(),
    first: body.varint(),
    end: body.varint(),
  }),
  apply: (state, command) => ({
    ok: true,
    type: "removed_export_file",
    removed: removed(state, command),
  }),
  summarize: ({ removed }, summary) => summary.flag(removed),
};

function removed(
  { parts }: HasExports,
  { exportId, partition, first, end }: RemovedExportFile,
): boolean {
  const one = exportOfId(parts.exports, exportId);
  const at = one?.givenUp.findIndex(
    (each) => each.partition === partition && each.first === first && each.end === end,
  );
  if (one === undefined || at === undefined || at < 0) return false;
  one.givenUp.splice(at, 1);
  forgetIfFinished(parts.exports, one);
  return true;
}
