import type { ExportDefinition } from "../export/definition.ts";
import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { Result, WriteReject } from "./api.ts";

export type { ExportDefinition } from "../export/definition.ts";

/** Exports: topics that are written to Parquet files as they grow. */
export interface ExportApi {
  /** Creates an export or changes its definition. */
  putExport(
    name: string,
    definition: ExportDefinition,
  ): Promise<Result<{ readonly created: boolean }, PutExportReject>>;
  /** Forgets an export. Its files stay. */
  deleteExport(name: string): Promise<Result<object, ExportReject>>;
  pauseExport(name: string, paused: boolean): Promise<Result<object, ExportReject>>;
  /** Asks for files of everything that the topic has now. */
  flushExport(name: string): Promise<Result<{ readonly records: number }, ExportReject>>;
  /** By name. Only the leader knows errors. */
  listExports(): MaybePromise<readonly ExportSummary[]>;
  describeExport(name: string): MaybePromise<Result<ExportDescription, "export_not_found">>;
  /** Null if the export does not exist. */
  topicOfExport(name: string): MaybePromise<string | null>;
}

export type ExportReject = WriteReject | "export_not_found" | "cluster_not_upgraded";
export type PutExportReject =
  | WriteReject
  | "cluster_not_upgraded"
  | "export_exists"
  | "export_url_taken"
  | "too_many_exports"
  | "topic_not_found"
  | "invalid_export";
export type ExportRejectCode = ExportReject | PutExportReject;

export type ExportCounts = {
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  /** Records that were deleted before they were exported. */
  readonly lost: number;
  readonly lagRecords: number;
  /** Age of the oldest record that is not exported. */
  readonly lagMs: number;
};
export type ExportSummary = ExportCounts &
  ExportDefinition & {
    readonly export: string;
    readonly state: "running" | "retrying" | "paused";
    /** The last manifest in the place; 0: none. */
    readonly manifest: number;
    /** Attempts in a row that failed. */
    readonly failures: number;
    readonly lastError: string | null;
    readonly lastErrorAtMs: number | null;
  };
export type ExportPartitionSummary = ExportCounts & {
  readonly partition: number;
  readonly nextOffset: number;
  readonly endOffset: number;
  /** The file that is being written; null: none. */
  readonly writing: string | null;
};
export type ExportDescription = ExportSummary & {
  readonly partitions: readonly ExportPartitionSummary[];
};
