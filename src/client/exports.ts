/** Exports: topics that are written to Parquet files as they grow. */
import type { ExportDescribed, ExportFlushed, ExportList, ExportPut } from "../api/exports.ts";
import { parseExact, stringifyExact } from "./json-values.ts";
import { fields, flag, integer, list, number, orNull, text } from "./shape.ts";
import { ACCEPTED } from "./shapes.ts";
import type { Filter } from "./stream-types.ts";
import type { CallOptions, Transport } from "./transport.ts";
import { segment } from "./url.ts";
import { camel } from "./values.ts";

type Listed = ExportList["exports"][number];
type DescribedPartition = ExportDescribed["partitions"][number];

const COUNTS = {
  files: integer,
  rows: integer,
  bytes: integer,
  lost: integer,
  lag_records: integer,
  lag_seconds: number,
};
const SUMMARY = {
  export: text,
  topic: text,
  url: text,
  every_ms: integer,
  max_bytes: integer,
  hold: flag,
  ...COUNTS,
  manifest: integer,
  failures: integer,
  last_error: orNull(text),
  last_error_at_ms: orNull(integer),
};
const PUT = fields<ExportPut>({ created: flag });
const LIST = fields<ExportList>({ exports: list(fields<Listed>(SUMMARY)) });
const DESCRIBED = fields<ExportDescribed>({
  ...SUMMARY,
  partitions: list(
    fields<DescribedPartition>({
      partition: integer,
      next_offset: integer,
      end_offset: integer,
      writing: orNull(text),
      ...COUNTS,
    }),
  ),
});
const FLUSHED = fields<ExportFlushed>({ records: integer });

export type ExportColumn = {
  readonly name: string;
  /** Path of a field: `a.b`, or one of the record such as `$headers.region`. */
  readonly field: string;
  readonly type: "string" | "int64" | "double" | "boolean" | "timestamp" | "json";
};

export type ExportDefinition = {
  readonly topic: string;
  /** `s3://bucket/prefix`, or `file:///directory` below the export directory of the server. */
  readonly url: string;
  readonly columns?: readonly ExportColumn[] | undefined;
  /** As in queries. */
  readonly decode?: unknown;
  readonly filter?: readonly Filter[] | undefined;
  /** @default 600_000 */
  readonly everyMs?: number | undefined;
  /** @default 134_217_728 */
  readonly maxBytes?: number | undefined;
  /** @default zstd */
  readonly compression?: "zstd" | "snappy" | "none" | undefined;
  /** @default earliest */
  readonly from?: "earliest" | "latest" | undefined;
  /** Retention waits for the export. @default false */
  readonly hold?: boolean | undefined;
};

export type ExportCounts = {
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  /** Records that were deleted before they were exported. */
  readonly lost: number;
  readonly lagRecords: number;
  /** Age of the oldest record that is not exported. */
  readonly lagSeconds: number;
};
export type ExportSummary = ExportCounts & {
  readonly export: string;
  readonly topic: string;
  readonly url: string;
  readonly columns?: readonly ExportColumn[];
  readonly decode?: unknown;
  /** Integers outside of ±(2^53−1) are `bigint`. */
  readonly filter?: readonly Filter[];
  readonly everyMs: number;
  readonly maxBytes: number;
  readonly compression: "zstd" | "snappy" | "none";
  readonly from: "earliest" | "latest";
  readonly hold: boolean;
  readonly state: "running" | "retrying" | "paused";
  /** The last manifest in the place; 0: none. */
  readonly manifest: number;
  /** Attempts in a row that failed. */
  readonly failures: number;
  readonly lastError: string | null;
  readonly lastErrorAtMs: number | null;
};
export type ExportPartition = ExportCounts & {
  readonly partition: number;
  /** First record that is in no committed file. */
  readonly nextOffset: number;
  readonly endOffset: number;
  /** The file that is under way. */
  readonly writing: string | null;
};
export type ExportDescription = ExportSummary & { readonly partitions: readonly ExportPartition[] };

/** `client.exports.put("orders", { topic: "orders", url: "s3://lake/events" })` */
export class Exports {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Creates an export, or changes its definition. @returns whether it is new. */
  async put(
    name: string,
    definition: ExportDefinition,
    options: CallOptions = {},
  ): Promise<boolean> {
    const { everyMs, maxBytes, ...others } = definition;
    const body = stringifyExact({ ...others, every_ms: everyMs, max_bytes: maxBytes }) ?? "{}";
    const request = { method: "PUT", path: pathOf(name), body, repeatable: true } as const;
    return (await this.#transport.json({ ...request, ...options }, PUT)).created;
  }

  /** The exports of the topics that the token may administer, by name. */
  async list(options: CallOptions = {}): Promise<readonly ExportSummary[]> {
    const request = { method: "GET", path: "/broker/exports", ...options } as const;
    return (await this.#transport.json(request, LIST, parseExact)).exports.map(summaryOf);
  }

  async describe(name: string, options: CallOptions = {}): Promise<ExportDescription> {
    const request = { method: "GET", path: pathOf(name), ...options } as const;
    const described = await this.#transport.json(request, DESCRIBED, parseExact);
    return { ...summaryOf(described), partitions: camel(described.partitions) };
  }

  /** Stops an export until it is resumed. */
  async pause(name: string, options: CallOptions = {}): Promise<void> {
    await this.#post(name, "pause", options);
  }

  async resume(name: string, options: CallOptions = {}): Promise<void> {
    await this.#post(name, "resume", options);
  }

  /** Asks for files of everything that the topic has now. @returns records that are not exported yet. */
  async flush(name: string, options: CallOptions = {}): Promise<number> {
    const path = `${pathOf(name)}/flush`;
    const request = { method: "POST", path, repeatable: true, ...options } as const;
    return (await this.#transport.json(request, FLUSHED)).records;
  }

  /** Forgets an export. Its files stay. */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json({ method: "DELETE", path: pathOf(name), ...options }, ACCEPTED);
  }

  async #post(name: string, action: string, options: CallOptions): Promise<void> {
    const path = `${pathOf(name)}/${action}`;
    const request = { method: "POST", path, repeatable: true, ...options } as const;
    await this.#transport.json(request, ACCEPTED);
  }
}

const pathOf = (name: string): string => `/broker/exports/${segment(name)}`;

/** Names in what users defined stay as they are. */
function summaryOf({ columns, decode, filter, ...others }: Listed): ExportSummary {
  const defined = Object.entries({ columns, decode, filter }).filter(([, it]) => it !== undefined);
  return { ...camel(others), ...Object.fromEntries(defined) };
}
