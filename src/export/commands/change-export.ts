/** Commands that change an export as a whole: delete, pause, resume, flush. */
import type { HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { EXPORTS_FEATURE, EXPORTS_LEVEL } from "../definition.ts";
import {
  closeExport,
  type ExportRejected,
  exportRejected,
  findExportByName,
  type HasExports,
} from "../state.ts";

const LEVELED = { level: EXPORTS_LEVEL, feature: EXPORTS_FEATURE };
type State = HasBroker & HasExports;
type NotFound = ExportRejected<"export_not_found">;

/** Ends an export. Its committed files stay where they are. */
export type DeleteExport = { readonly type: "delete_export"; readonly name: string };
export type DeleteExportResult = { readonly ok: true; readonly type: "delete_export" } | NotFound;

export const deleteExport: LeveledKind<
  DeleteExport,
  DeleteExportResult,
  State & { readonly now: number }
> = {
  ...LEVELED,
  type: "delete_export",
  tag: 111,
  encode: (body, { name }) => body.text(name),
  decode: (body) => ({ type: "delete_export", name: body.text() }),
  apply: ({ broker, parts, now }, { name }) => {
    const found = findExportByName(parts.exports, broker, name);
    if (found === undefined) return exportRejected("export_not_found");
    closeExport(parts.exports, found.one, now);
    return { ok: true, type: "delete_export" };
  },
};

/** Stops an export, or lets it go on. */
export type PauseExport = {
  readonly type: "pause_export";
  readonly name: string;
  readonly paused: boolean;
};
export type PauseExportResult = { readonly ok: true; readonly type: "pause_export" } | NotFound;

export const pauseExport: LeveledKind<PauseExport, PauseExportResult, State> = {
  ...LEVELED,
  type: "pause_export",
  tag: 112,
  encode(body, { name, paused }) {
    body.text(name);
    body.u8(paused ? 1 : 0);
  },
  decode: (body) => ({ type: "pause_export", name: body.text(), paused: body.u8() === 1 }),
  apply: ({ broker, parts }, { name, paused }) => {
    const found = findExportByName(parts.exports, broker, name);
    if (found === undefined) return exportRejected("export_not_found");
    found.one.isPaused = paused;
    return { ok: true, type: "pause_export" };
  },
};

/** Asks for files of everything that the topic has now. */
export type FlushExport = { readonly type: "flush_export"; readonly name: string };
export type FlushExportResult =
  | {
      readonly ok: true;
      readonly type: "flush_export";
      /** Records that are not exported yet. */
      readonly records: number;
    }
  | NotFound;

export const flushExport: LeveledKind<FlushExport, FlushExportResult, State> = {
  ...LEVELED,
  type: "flush_export",
  tag: 113,
  encode: (body, { name }) => body.text(name),
  decode: (body) => ({ type: "flush_export", name: body.text() }),
  apply: ({ broker, parts }, { name }) => {
    const found = findExportByName(parts.exports, broker, name);
    if (found === undefined) return exportRejected("export_not_found");
    let records = 0;
    for (const mine of found.one.partitions) {
      const its = found.topic.partitions[mine.partition];
      if (its === undefined) continue;
      mine.flushTo = its.endOffset;
      records += its.endOffset - Math.max(mine.next, its.lowWatermark);
    }
    return { ok: true, type: "flush_export", records };
  },
  summarize: ({ records }, summary) => summary.numbers(records, 0),
};
