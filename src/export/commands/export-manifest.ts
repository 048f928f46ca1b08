/** Commands of the leader: which files the next manifest lists, and that it is in its place. */
import { feature as faultPoint } from "bun:bundle";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { EXPORTS_FEATURE, EXPORTS_LEVEL, MANIFEST_FILES_MAX } from "../definition.ts";
import { exportOfId, forgetIfFinished, type HasExports } from "../state.ts";

const LEVELED = { level: EXPORTS_LEVEL, feature: EXPORTS_FEATURE };

/**
 * Decides that the next manifest has the first `count` files that are in no full manifest. From then
 * on every leader writes the same manifest.
 */
export type SealExportManifest = {
  readonly type: "seal_export_manifest";
  readonly exportId: number;
  /** The number of the manifest: one more than the last one. */
  readonly manifest: number;
  readonly count: number;
};
export type SealExportManifestResult = {
  readonly ok: true;
  readonly type: "seal_export_manifest";
  readonly sealed: boolean;
};

export const sealExportManifest: LeveledKind<
  SealExportManifest,
  SealExportManifestResult,
  HasExports
> = {
  ...LEVELED,
  type: "seal_export_manifest",
  tag: 116,
  encode(body, { exportId, manifest, count }) {
    body.varint(exportId);
    body.varint(manifest);
    body.varint(count);
  },
  decode: (body) => ({
    type: "seal_export_manifest",
    exportId: body.varint(),
    manifest: body.varint(),
    count: body.varint(),
  }),
  apply: (state, command) => ({
    ok: true,
    type: "seal_export_manifest",
    sealed: seal(state, command),
  }),
  summarize: ({ sealed }, summary) => summary.flag(sealed),
};

function seal({ parts }: HasExports, { exportId, manifest, count }: SealExportManifest): boolean {
  const one = exportOfId(parts.exports, exportId);
  if (one === undefined || manifest !== one.manifest + 1) return false;
  if (one.sealed !== 0 && !faultPoint("manifest-decided-twice")) return false;
  const isRight = count > one.listed && count <= one.files.length && count <= MANIFEST_FILES_MAX;
  if (isRight) one.sealed = count;
  return isRight;
}

/** The manifest that was decided is in its place. */
export type ListExportManifest = {
  readonly type: "list_export_manifest";
  readonly exportId: number;
  readonly manifest: number;
};
export type ListExportManifestResult = {
  readonly ok: true;
  readonly type: "list_export_manifest";
  readonly listed: boolean;
};

export const listExportManifest: LeveledKind<
  ListExportManifest,
  ListExportManifestResult,
  HasExports
> = {
  ...LEVELED,
  type: "list_export_manifest",
  tag: 117,
  encode(body, { exportId, manifest }) {
    body.varint(exportId);
    body.varint(manifest);
  },
  decode: (body) => ({
    type: "list_export_manifest",
    exportId: body.varint(),
    manifest: body.varint(),
  }),
  apply: (state, command) => ({
    ok: true,
    type: "list_export_manifest",
    listed: list(state, command),
  }),
  summarize: ({ listed }, summary) => summary.flag(listed),
};

function list({ parts }: HasExports, { exportId, manifest }: ListExportManifest): boolean {
  const one = exportOfId(parts.exports, exportId);
  if (one === undefined || one.sealed === 0 || manifest !== one.manifest + 1) return false;
  one.manifest = manifest;
  one.listed = one.sealed;
  one.sealed = 0;
  if (one.listed === MANIFEST_FILES_MAX) {
    one.previous = manifest;
    one.files = one.files.slice(MANIFEST_FILES_MAX);
    one.listed = 0;
  }
  forgetIfFinished(parts.exports, one);
  return true;
}
