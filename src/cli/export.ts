/** `ayder export`: writes the records of a topic to Parquet files, once. */
import type { Client } from "../client/index.ts";
import { type Json, shortText } from "../client/json-text.ts";
import { ArchiveUnavailable } from "../env/archive.ts";
import { openExportStore } from "../env/export-store.ts";
import { COMPRESSIONS, type Compression } from "../parquet/file.ts";
import { COLUMN_TYPES, parseFormat, type RowFormat } from "../parquet/format.ts";
import { rangeOf } from "../parquet/layout.ts";
import { isUrl, PLACE_NOTES, proxyNote } from "./archive-place.ts";
import { type Arguments, type Command, EXIT, type Io, integerOf, UsageError } from "./command.ts";
import { type ExportedFile, exportPartition, type PartitionTask } from "./export-partition.ts";
import { objectOf } from "./query-flags.ts";
import { decodeOf } from "./schema-file.ts";
import { connect, jsonLine, SERVER_OPTIONS } from "./server.ts";
import { bytesText, counted } from "./table.ts";
import { timeOf } from "./times.ts";
import { filtersOf } from "./where.ts";

const MIB = 1024 * 1024;
const FILE_BYTES = 128 * MIB;
const FILE_BYTES_MAX = 1024 * MIB;
/** A request to a bucket that makes no progress for this long has failed. */
const STALL_MS = 60_000;
const BAR_WIDTH = 30;
const BAR_INTERVAL_MS = 200;

export const EXPORT: Command = {
  name: "export",
  summary: "write a topic to Parquet files in a directory or bucket",
  actions: [{ name: "", operands: "<topic>", summary: "", run: runExport }],
  options: {
    ...SERVER_OPTIONS,
    to: { type: "string", value: "PLACE", help: "a directory, or s3://bucket/prefix" },
    partition: { type: "string", short: "p", value: "N", help: "partition (default: all)" },
    from: {
      type: "string",
      value: "START",
      help: "first record: earliest (default), an offset with --partition, an age such as 2d, or a timestamp",
    },
    "to-time": {
      type: "string",
      value: "TIME",
      help: "only records before this time (default: up to the end that the topic has now)",
    },
    columns: {
      type: "string",
      value: "LIST",
      multiple: true,
      help: `more columns: name=field:type,…; types are ${COLUMN_TYPES.join(", ")}`,
    },
    where: {
      type: "string",
      value: "EXPR",
      multiple: true,
      help: "only records that match: amount>4, region=eu; all must hold",
    },
    values: { type: "string", value: "KIND", help: "json: the column value has the type JSON" },
    decode: { type: "string", value: "FILE", help: "schema of the values: .avsc or .proto" },
    message: { type: "string", value: "NAME", help: "message type in a .proto file" },
    encoding: { type: "string", value: "KIND", help: "binary (default) or json, by the schema" },
    compression: { type: "string", value: "KIND", help: "zstd (default), snappy or none" },
    "max-bytes": {
      type: "string",
      value: "N",
      help: `bytes of records in one file (default: ${FILE_BYTES})`,
    },
  },
  notes: [
    "Files are topic=T/date=YYYY-MM-DD/partition=P/FIRST-END.parquet, the date in UTC.",
    "Run the same command again to continue: files that are complete are not written again.",
    ...PLACE_NOTES,
    "Example: ayder export orders --to s3://lake/events --from 7d --columns amount=amount:double",
  ],
};

async function runExport(args: Arguments, io: Io): Promise<number> {
  const topic = args.operand(0);
  const place = placeOf(args);
  const format = await formatOf(args, io);
  const compression = compressionOf(args.text("compression"));
  const fileBytes = args.integer("max-bytes", 1, FILE_BYTES_MAX) ?? FILE_BYTES;
  const client = connect(args, io);
  const store = openExportStore(place, {
    stallMs: STALL_MS,
    exportDir: null,
    via: proxyNote(io),
  });
  try {
    const ranges = await rangesOf(topic, args, client);
    const done = completeFiles(await store.list(`topic=${topic}/`), topic);
    const progress = new Progress(io, args.flag("json"), ranges);
    const shared = { topic, client, store, format, compression, fileBytes };
    for (const range of ranges) {
      const next = continueAt(range, done.get(range.partition) ?? []);
      progress.skip(next - range.first);
      const task: PartitionTask = { ...shared, ...range, first: next, interrupted: io.interrupted };
      await exportPartition(task, progress);
    }
    await progress.end();
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ArchiveUnavailable)) throw error;
    io.err(`ayder: ${error.message}\n`);
    return EXIT.unavailable;
  }
}

/** @throws UsageError */
function placeOf(args: Arguments): string {
  const place = args.text("to");
  if (place === undefined || place === "") throw new UsageError("export needs --to");
  if (isUrl(place) && !/^s3:\/\/[^/]+(\/|$)/.test(place)) {
    throw new UsageError(`--to: ${place} is neither a directory nor s3://bucket/prefix`);
  }
  return place;
}

/** @throws UsageError */
async function formatOf(args: Arguments, io: Io): Promise<RowFormat> {
  const kind = args.text("values");
  if (kind !== undefined && kind !== "json") {
    throw new UsageError(`--values: "${kind}" is not json`);
  }
  const schema = await decodeOf(args, "", io);
  const decode =
    schema ?? (kind === "json" ? new Map<string, Json>([["type", "json"]]) : undefined);
  const filter = args.texts("where").flatMap(filtersOf);
  const columns = args.texts("columns").flatMap((text) => text.split(",").map(columnOf));
  const body = objectOf({
    ...(decode === undefined ? {} : { decode }),
    ...(filter.length === 0 ? {} : { filter }),
    ...(columns.length === 0 ? {} : { columns }),
  });
  const format = parseFormat(shortText(body));
  if (!format.ok) throw new UsageError(`${format.path}: ${format.message}`);
  return format.request;
}

/** @throws UsageError */
export function columnOf(text: string): Json {
  const [, name = "", field = "", type = ""] =
    /^\s*([^=:\s]+)=(.+):([a-z0-9]+)\s*$/.exec(text) ?? [];
  if (name === "") {
    throw new UsageError(`--columns: ${JSON.stringify(text)} is not name=field:type`);
  }
  return new Map<string, Json>([
    ["name", name],
    ["field", field],
    ["type", type],
  ]);
}

/** @throws UsageError */
function compressionOf(text: string | undefined): Compression {
  const found = COMPRESSIONS.find((each) => each === (text ?? "zstd"));
  if (found !== undefined) return found;
  throw new UsageError(`--compression: "${text}" is not one of: ${COMPRESSIONS.join(", ")}`);
}

type Range = { readonly partition: number; readonly first: number; readonly end: number };

/** The offsets to export of each partition. @throws UsageError */
async function rangesOf(topic: string, args: Arguments, client: Client): Promise<readonly Range[]> {
  const only = args.integer("partition");
  const { partitions } = await client.topics.describe(topic);
  const nowMs = Date.now();
  const [from, until] = [args.text("from") ?? "earliest", args.text("to-time")];
  const isOffset = only !== undefined && /^\d{1,12}$/.test(from);
  const startMs = from === "earliest" || isOffset ? null : timeOf("--from", from, nowMs);
  const starts = startMs === null ? null : await client.offsetsAt(topic, startMs);
  const ends =
    until === undefined ? null : await client.offsetsAt(topic, timeOf("--to-time", until, nowMs));
  const at = (list: typeof starts, partition: number): number | undefined =>
    list?.find((each) => each.partition === partition)?.offset;
  const chosen = partitions.filter(({ partition }) => only === undefined || partition === only);
  if (chosen.length === 0) {
    throw new UsageError(`--partition: ${topic} has the partitions 0 to ${partitions.length - 1}`);
  }
  return chosen.map(({ partition, lowWatermark, endOffset }) => {
    const start = isOffset ? integerOf("--from", from) : (at(starts, partition) ?? lowWatermark);
    const end = Math.min(endOffset, at(ends, partition) ?? endOffset);
    return { partition, first: Math.min(Math.max(start, lowWatermark), end), end };
  });
}

/** The ranges of complete files by partition. */
function completeFiles(
  names: readonly string[],
  topic: string,
): ReadonlyMap<number, readonly Range[]> {
  const ranges = names.map(rangeOf).filter((each) => each !== null && each.topic === topic);
  return Map.groupBy(ranges as Range[], ({ partition }) => partition);
}

/** The first offset that no complete file has, when files continue each other from the start. */
function continueAt({ first, end }: Range, files: readonly Range[]): number {
  let next = first;
  for (const file of [...files].sort((a, b) => a.first - b.first || a.end - b.end)) {
    if (file.first <= next && file.end > next) next = file.end;
  }
  return Math.min(next, end);
}

/** Tells about files, and draws a bar on a terminal. */
class Progress {
  readonly #io: Io;
  readonly #json: boolean;
  readonly #total: number;
  readonly #begin = performance.now();
  #drawnAt = 0;
  #skipped = 0;
  #records = 0;
  #rows = 0;
  #bytes = 0;
  #files = 0;

  constructor(io: Io, json: boolean, ranges: readonly Range[]) {
    this.#io = io;
    this.#json = json;
    this.#total = ranges.reduce((sum, { first, end }) => sum + end - first, 0);
  }

  skip(records: number): void {
    this.#skipped += records;
  }

  readonly read = (records: number): void => {
    this.#records += records;
    const now = performance.now();
    if (!this.#io.errIsTty || now - this.#drawnAt < BAR_INTERVAL_MS) return;
    this.#drawnAt = now;
    const part = (this.#skipped + this.#records) / Math.max(1, this.#total);
    const full = Math.min(BAR_WIDTH, Math.round(part * BAR_WIDTH));
    const bar = "█".repeat(full) + "░".repeat(BAR_WIDTH - full);
    const rate = Math.round((this.#records * 1000) / (now - this.#begin));
    this.#io.redraw(`${bar} ${Math.round(part * 100)} %  ${rate} records/s`);
  };

  readonly lost = (records: number): void => {
    this.#io.err(`ayder: retention deleted ${counted(records, "record")} before they were read\n`);
  };

  readonly file = async (file: ExportedFile): Promise<void> => {
    this.#rows += file.rows;
    this.#bytes += file.bytes;
    if (file.rows > 0) this.#files++;
    if (this.#json && file.rows > 0) await this.#io.out(jsonLine(file));
  };

  async end(): Promise<void> {
    if (this.#io.errIsTty) this.#io.redraw("");
    if (this.#json) return;
    const skipped = this.#skipped === 0 ? "" : `; ${counted(this.#skipped, "record")} were there`;
    const what = `${counted(this.#rows, "row")} in ${counted(this.#files, "file")}`;
    await this.#io.out(`${what}, ${bytesText(this.#bytes)}${skipped}\n`);
  }
}
