/** Texts of the objects below `_ayder/`: the same for every leader. */
import type { ExportedFile, ExportState } from "../../export/state.ts";
import { dateText, pathOf } from "../../parquet/layout.ts";

export const LATEST = "_ayder/latest";
export const manifestName = (manifest: number): string => `_ayder/manifest-${manifest}.json`;

/** The manifest that is decided: all committed files since the last full manifest. */
export function manifestText(one: ExportState): string {
  const { topic } = one.definition;
  const files = one.files.slice(0, one.sealed).map((file) => fileFields(topic, file));
  const head = {
    version: 1,
    export: one.name,
    export_id: one.identity,
    topic,
    manifest: one.manifest + 1,
    // The manifest with the files before these; null: there are none.
    previous: one.previous === 0 ? null : manifestName(one.previous),
  };
  return `${JSON.stringify({ ...head, files }, null, 1)}\n`;
}

const fileFields = (topic: string, file: ExportedFile) => ({
  file: pathOf({ topic, ...file }),
  partition: file.partition,
  date: dateText(file.day),
  first_offset: file.first,
  end_offset: file.end,
  rows: file.rows,
  bytes: file.bytes,
  committed_at_ms: file.committedAtMs,
});

export function latestText(one: ExportState, manifest: number): string {
  const { name, identity } = one;
  return `${JSON.stringify({ version: 1, export: name, export_id: identity, manifest: manifestName(manifest) })}\n`;
}

/** The identity of the export that a place belongs to. Null: of no export. */
export function ownerOf(latest: string | null): string | null {
  if (latest === null) return null;
  try {
    const { export_id: identity } = JSON.parse(latest) as { readonly export_id?: unknown };
    return typeof identity === "string" ? identity : "unknown";
  } catch {
    return "unknown";
  }
}
