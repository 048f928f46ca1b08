/** Settings of exports to Parquet. */
import type { Setting } from "./setting-types.ts";

export const EXPORT_SETTINGS = {
  exportDir: {
    variables: ["RF_EXPORT_DIR"],
    kind: "path",
    default: "",
    help: "directory below which exports to `file:///…` may write; the default is none",
    section: "Access",
  },
  exportsMax: {
    variables: ["RF_MAX_EXPORTS"],
    kind: "integer",
    default: "100",
    min: 0,
    max: 1000,
    help: "maximum number of exports to Parquet",
    section: "Limits",
  },
  exportHoldMs: {
    variables: ["RF_EXPORT_HOLD_MS"],
    kind: "integer",
    default: "86400000",
    min: 0,
    max: 31_536_000_000,
    help: "how long retention waits for exports with `hold`, in milliseconds",
    section: "Storage",
  },
  exportTimeoutMs: {
    variables: ["RF_EXPORT_TIMEOUT_MS"],
    kind: "integer",
    default: "60000",
    min: 100,
    max: 3_600_000,
    help: "time after which a request of an export to a bucket that makes no progress has failed",
    section: "Storage",
  },
} as const satisfies Readonly<Record<string, Setting>>;
