import { MEASURE_OPS, type Measure } from "./aggregate.ts";
import type { Decoder } from "./codecs/decoder.ts";
import type { DecoderCache } from "./codecs/decoder-cache.ts";
import { type CompiledFilter, compileFilter, FILTER_OPS, type Filter } from "./filter.ts";
import type { Aggregation } from "./group-table.ts";
import type { Retention } from "./group-windows.ts";
import { type Projection, projectionOf } from "./project.ts";
import { namesRecord } from "./record-fields.ts";
import { type Parsed, parsed, RequestField } from "./request-fields.ts";
import { LIMIT_MAX, readSource, type Source, timeUnitOf } from "./source-request.ts";
import { identityOfAll, type Path, type Value } from "./value.ts";
import { type ReadTime, type TimeUnit, timeReader } from "./window.ts";

/** A checked body of `POST /broker/query` or `PUT /broker/views/{name}`. */
export type QueryRequest = {
  readonly source: Source;
  /** Maximum number of records to read. */
  readonly limit: number;
  readonly filters: readonly CompiledFilter[];
  /** Null if the request has no aggregates. */
  readonly aggregation: Aggregation | null;
  readonly projection: Projection;
  /** Some field is one of the record, such as `$key`: see `record-fields.ts`. */
  readonly namesRecord: boolean;
  readonly emitRows: number;
  /** Retention of a view; null in a query. */
  readonly retention: Retention | null;
  /** Equal for requests that aggregate the same: a view's stored state fits only its own. */
  readonly aggregateIdentity: string;
};

/** Without a limit, rows end after this many records, */
const LIMIT_DEFAULT = 200;
/** and aggregates after this many: the bound of one request's work. */
export const AGGREGATED_MAX = 10_000_000;
const FILTERS_MAX = 64;
const IN_VALUES_MAX = 10_000;
const GROUP_FIELDS_MAX = 16;
const MEASURES_MAX = 64;
export const PROJECTED_FIELDS_MAX = 256;
/** Fields of an aggregate's row that are not a measure's. */
const RESERVED_NAMES = ["key", "group", "window_start_ms", "window_end_ms"];

/** @param body the parsed JSON; use `parseJsonText`, which keeps long integers. */
export function parseQueryRequest(body: unknown, decoders: DecoderCache): Parsed<QueryRequest> {
  return parsed(() => readRequest(new RequestField(body as Value), decoders, false));
}

/** As a query, but `source.partition` may be absent and there must be something to keep. */
export function parseViewRequest(body: unknown, decoders: DecoderCache): Parsed<QueryRequest> {
  return parsed(() => {
    const root = new RequestField(body as Value);
    const request = readRequest(root, decoders, true);
    if (request.aggregation === null) root.at("aggregate").fail("is what a view keeps");
    return request;
  });
}

function readRequest(root: RequestField, decoders: DecoderCache, isView: boolean): QueryRequest {
  root.object();
  const filters = readFilters(root.at("filter"));
  const source = readSource(root.at("source"), decoders, { allPartitions: isView });
  const window = readWindow(root.at("window"), source.decoder);
  const aggregation = readAggregation(root.at("aggregate"), window);
  const transform = root.at("transform");
  const fields = transform.at("left_fields");
  const projected = fields.isAbsent ? null : fields.fieldPaths(PROJECTED_FIELDS_MAX);
  return {
    source,
    limit: source.limit ?? (aggregation === null ? LIMIT_DEFAULT : AGGREGATED_MAX),
    filters: filters.map(compileFilter),
    aggregation,
    projection: projected === null ? true : projectionOf(projected),
    namesRecord: namesRecord([
      ...filters.map(({ field }) => field),
      ...(aggregation?.groupBy ?? []),
      ...(aggregation?.measures ?? []).map(({ field }) => field),
      window?.timeField ?? null,
      ...(projected ?? []),
    ]),
    emitRows: transform.at("emit_rows").integerOr(0, 0, LIMIT_MAX),
    retention: isView ? readRetention(root.at("retain"), window) : null,
    aggregateIdentity: identityOfAll([
      filters.map(({ field, op, value }) => [field, op, value]),
      aggregation?.groupBy ?? null,
      (aggregation?.measures ?? []).map(({ op, field, as }) => [op, field, as]),
      window?.sizeMs ?? null,
      window?.timeField ?? null,
      // Not there for milliseconds, so that states that were saved without it fit.
      ...(window === null || window.unit === null ? [] : [window.unit]),
    ]),
  };
}

/** A list of filters; absent: none. */
export function readFilters(list: RequestField): Filter[] {
  return list.isAbsent ? [] : list.items(FILTERS_MAX).map(readFilter);
}

/** The same for a definition that is shown again, whose numbers must have a value: 1e400 has none. */
export function readKeptFilters(list: RequestField): Filter[] {
  const filters = readFilters(list);
  for (const [at, { value }] of filters.entries()) {
    if (hasInfinity(value)) list.items(FILTERS_MAX)[at]?.at("value").fail(TOO_LARGE);
  }
  return filters;
}

const TOO_LARGE = "must not hold a number whose magnitude is above 1.8e308";

function hasInfinity(value: Value): boolean {
  if (typeof value !== "object" || value === null) {
    return typeof value === "number" && !Number.isFinite(value);
  }
  return Object.values(value).some(hasInfinity);
}

function readFilter(item: RequestField): Filter {
  const field = item.at("field").fieldPath();
  const op = item.at("op").oneOf(FILTER_OPS);
  const value = item.at("value");
  if (value.value === undefined) return value.fail("is missing");
  if (op === "in") value.items(IN_VALUES_MAX);
  if (op === "lt" || op === "le" || op === "gt" || op === "ge") checkOrdered(value);
  return { field, op, value: value.value };
}

function checkOrdered(value: RequestField): void {
  const type = typeof value.value;
  if (type !== "number" && type !== "bigint" && type !== "string") {
    value.fail("must be a number or text to compare with");
  }
}

/** A window alone asks for a count in each window. */
function readAggregation(aggregate: RequestField, window: Window | null): Aggregation | null {
  if (!aggregate.isAbsent) aggregate.object();
  if (aggregate.isAbsent && window === null) return null;
  const groupBy = aggregate.at("group_by");
  const measures = aggregate.at("measures");
  return {
    groupBy: groupBy.isAbsent ? [] : groupBy.fieldPaths(GROUP_FIELDS_MAX),
    measures: measures.isAbsent ? [] : readMeasures(measures.items(MEASURES_MAX)),
    window,
  };
}

/** Maximum number of groups of a view. */
export const VIEW_GROUPS_MAX = 100_000;

function readRetention(field: RequestField, window: Window | null): Retention {
  if (!field.isAbsent) field.object();
  const retention = {
    windows: field.at("windows").integerOr(null, 1, VIEW_GROUPS_MAX),
    groups: field.at("groups").integerOr(null, 1, VIEW_GROUPS_MAX),
    ageMs: field.at("age_ms").integerOr(null, 1, Number.MAX_SAFE_INTEGER),
  };
  if (window !== null) return retention;
  for (const name of ["windows", "groups", "age_ms"]) {
    if (!field.at(name).isAbsent) field.at(name).fail("needs a window: only windows age out");
  }
  return retention;
}

type Window = {
  readonly sizeMs: number;
  readonly timeField: Path | null;
  /** Null for milliseconds. */
  readonly unit: TimeUnit | null;
  readonly timeOf: ReadTime;
};

function readWindow(field: RequestField, decoder: Decoder): Window | null {
  if (field.isAbsent) return null;
  field.object();
  field.at("type").oneOfOr("tumbling", ["tumbling"]);
  const sizeMs = field.at("size_ms").integer(1, Number.MAX_SAFE_INTEGER);
  const timeField = field.at("time_field").fieldPathOrNull();
  const unit = timeUnitOf(decoder, timeField);
  return { sizeMs, timeField, unit, timeOf: timeReader(timeField, unit) };
}

function readMeasures(items: readonly RequestField[]): Measure[] {
  const names = new Set(RESERVED_NAMES);
  const measures: Measure[] = [];
  for (const item of items) {
    const measure = readMeasure(item);
    const isPlainCount = measure.op === "count" && measure.field === null;
    // `count` is always in the answer, so asking for it again adds nothing.
    if (isPlainCount && measure.as === "count") continue;
    if (names.has(measure.as) || measure.as === "count") {
      item.at("as").fail(`${JSON.stringify(measure.as)} is taken: give another name`);
    }
    names.add(measure.as);
    measures.push(measure);
  }
  return measures;
}

function readMeasure(item: RequestField): Measure {
  const op = item.at("op").oneOf(MEASURE_OPS);
  const fieldOf = item.at("field");
  const field = op === "count" ? fieldOf.fieldPathOrNull() : fieldOf.fieldPath();
  return { op, field, as: readAs(item.at("as"), op, field) };
}

function readAs(as: RequestField, op: string, field: Path | null): string {
  if (as.isAbsent) return field === null ? op : `${op}_${field.join(".")}`;
  const name = as.text();
  return name === "" || name.length > 249 ? as.fail("must be 1 to 249 characters") : name;
}
