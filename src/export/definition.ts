import { LEVEL_DELIVERY } from "../lib/log-levels.ts";

/** Level of the log that exports need. */
export const EXPORTS_LEVEL = LEVEL_DELIVERY;
export const EXPORTS_FEATURE = "Exports";

/** Bounds of the state. Changing one of these changes what apply does, so it needs a new command. */
export const EXPORTS_MAX = 1_000;
/** Bytes of the texts of all definitions together. */
export const FORMAT_BYTES_MAX = 16 * 1024 * 1024;
/** Files in one manifest. The next one begins with those after them. */
export const MANIFEST_FILES_MAX = 256;
/** No range is decided while so many committed files are in no manifest. */
export const UNLISTED_MAX = 1_024;
/** Files that were given up and are to be removed. The oldest ones are forgotten, and stay. */
export const GIVEN_UP_MAX = 1_024;

/** Bounds of a definition, checked where a request is read. */
export const EVERY_MS_MIN = 1_000;
export const EVERY_MS_MAX = 7 * 86_400_000;
export const FILE_BYTES_MIN = 1_024;
export const FILE_BYTES_MAX = 1024 * 1024 * 1024;
export const URL_CHARACTERS_MAX = 1_024;

export const EXPORT_COMPRESSIONS = ["zstd", "snappy", "none"] as const;
export type ExportCompression = (typeof EXPORT_COMPRESSIONS)[number];
export type ExportStart = "earliest" | "latest";

/** The definition of an export. Replaced, never changed. */
export type ExportDefinition = {
  readonly topic: string;
  /** `s3://bucket/prefix` or `file:///directory`, without a slash at the end. */
  readonly url: string;
  /** A file ends at most this long after its first record. */
  readonly everyMs: number;
  /** A file ends after this many bytes of keys, values and headers. */
  readonly maxBytes: number;
  readonly compression: ExportCompression;
  readonly from: ExportStart;
  /** Retention waits for the export, up to a bound of the server. */
  readonly hold: boolean;
  /** JSON of the fields `columns`, `decode` and `filter`; empty: none of them. */
  readonly format: string;
};

export const isSameExport = (a: ExportDefinition, b: ExportDefinition): boolean =>
  fixedDifference(a, b) === null &&
  a.everyMs === b.everyMs &&
  a.maxBytes === b.maxBytes &&
  a.compression === b.compression &&
  a.hold === b.hold &&
  a.format === b.format;

/** Returns the first field that differs and cannot be changed, or null. */
export function fixedDifference(
  a: ExportDefinition,
  b: ExportDefinition,
): "topic" | "url" | "from" | null {
  if (a.topic !== b.topic) return "topic";
  if (a.url !== b.url) return "url";
  return a.from === b.from ? null : "from";
}
