/** Exports: topics that are written to Parquet files as they grow. */
import { NO_FIELDS_BODY, NO_QUERY } from "../../api/common.ts";
import {
  EXPORT_BODY,
  EXPORT_DELETED,
  EXPORT_DESCRIBED,
  EXPORT_FLUSHED,
  EXPORT_LIST,
  EXPORT_PAUSED,
  EXPORT_PUT,
  type ExportBody,
  type ExportDeleted,
  type ExportDescribed,
  type ExportFlushed,
  type ExportList,
  type ExportPaused,
  type ExportPut,
} from "../../api/exports.ts";
import type {
  ExportApi,
  ExportCounts,
  ExportDefinition,
  ExportSummary,
  Rejected,
} from "../../node/api.ts";
import { JSON_FIELD_ERRORS, readJson, readOptionalJson } from "../body.ts";
import { ApiError, type ErrorCode } from "../errors.ts";
import { exactJson, type Json, jsonTextOf } from "../json.ts";
import { demandIfKnown, demandKnown, type Known } from "../known.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { aboutReader, json } from "../responses.ts";
import type { Services } from "../services.ts";

const EVERY_MS = 600_000;
const MAX_BYTES = 128 * 1024 * 1024;
const EXPORT_ERRORS: readonly ErrorCode[] = [
  "invalid_export",
  "export_not_found",
  "cluster_not_upgraded",
  "commit_timeout",
];

/** The topic is not in the path, so the handlers ask for its scope. */
export const exportEndpoints = (services: Services, exports: ExportApi): readonly Endpoint[] => [
  putExport(services, exports),
  listExports(exports),
  describeExport(services, exports),
  deleteExport(services, exports),
  pause(services, exports, "pause"),
  pause(services, exports, "resume"),
  flush(services, exports),
];

const putExport = (services: Services, exports: ExportApi): Endpoint => ({
  method: "PUT",
  path: "/broker/exports/:export",
  access: { kind: "body", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Create an export, or change its definition. Needs admin for its topic",
    tag: "exports",
    body: EXPORT_BODY,
    answer: EXPORT_PUT,
    errors: [
      ...JSON_FIELD_ERRORS,
      "request_too_large",
      "invalid_export",
      "missing_topic",
      "invalid_topic",
      "topic_not_found",
      "export_exists",
      "export_url_taken",
      "too_many_exports",
      "cluster_not_upgraded",
      "commit_timeout",
    ],
  },
  handle: async (context) => {
    const name = context.path("export");
    const definition = definitionOf(await readJson(context, EXPORT_BODY));
    context.demand("admin", definition.topic);
    await demandIfKnown(services, context, known(exports, name));
    const result = await exports.putExport(name, definition);
    if (!result.ok) {
      const { code, message = "" } = result;
      if (code === "invalid_export") throw new ApiError("invalid_field", message);
      return rejected(services, context, result, name, definition.topic);
    }
    return json<ExportPut>({ ok: true, export: name, created: result.created });
  },
});

function definitionOf(body: ExportBody): ExportDefinition {
  return {
    topic: body.topic,
    url: body.url.replace(/(?<=[^/])\/+$/, ""),
    everyMs: body.every_ms ?? EVERY_MS,
    maxBytes: body.max_bytes ?? MAX_BYTES,
    compression: body.compression ?? "zstd",
    from: body.from ?? "earliest",
    hold: body.hold ?? false,
    format: formatOf(body),
  };
}

/** The digits of numbers stay as they were sent. */
function formatOf({ columns, decode, filter }: ExportBody): string {
  const given = Object.entries({ columns, decode, filter }).filter(
    ([, value]) => value !== undefined && value !== null,
  );
  return given.length === 0 ? "" : jsonTextOf(new Map(given as [string, Json][]));
}

const listExports = (exports: ExportApi): Endpoint => ({
  method: "GET",
  path: "/broker/exports",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "The exports of the topics for which the token has admin",
    tag: "exports",
    answer: EXPORT_LIST,
    errors: [],
  },
  handle: async ({ principal }) => {
    const all = await exports.listExports();
    const may = all.filter(({ topic }) => principal.may("admin", topic));
    return json<ExportList>({ ok: true, exports: may.map(summaryOf) });
  },
});

const describeExport = (services: Services, exports: ExportApi): Endpoint => ({
  method: "GET",
  path: "/broker/exports/:export",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Definition and progress of an export. Needs admin for its topic",
    tag: "exports",
    answer: EXPORT_DESCRIBED,
    errors: ["invalid_export", "export_not_found"],
  },
  handle: async (context) => {
    const name = context.path("export");
    await demandKnown(services, context, known(exports, name));
    const result = await exports.describeExport(name);
    if (!result.ok) return rejected(services, context, result, name);
    return json<ExportDescribed>({
      ok: true,
      ...summaryOf(result),
      partitions: result.partitions.map((each) => ({
        partition: each.partition,
        next_offset: each.nextOffset,
        end_offset: each.endOffset,
        writing: each.writing,
        ...countsOf(each),
      })),
    });
  },
});

const deleteExport = (services: Services, exports: ExportApi): Endpoint => ({
  method: "DELETE",
  path: "/broker/exports/:export",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Delete an export; its files stay. Needs admin for its topic",
    tag: "exports",
    answer: EXPORT_DELETED,
    errors: EXPORT_ERRORS,
  },
  handle: async (context) => {
    const name = context.path("export");
    await demandKnown(services, context, known(exports, name));
    const result = await exports.deleteExport(name);
    if (!result.ok) return rejected(services, context, result, name);
    return json<ExportDeleted>({ ok: true, export: name, deleted: true });
  },
});

const pause = (services: Services, exports: ExportApi, action: "pause" | "resume"): Endpoint => ({
  method: "POST",
  path: `/broker/exports/:export/${action}`,
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary:
      action === "pause"
        ? "Stop an export until it is resumed. Needs admin for its topic"
        : "Let a paused export go on. Needs admin for its topic",
    tag: "exports",
    body: NO_FIELDS_BODY,
    answer: EXPORT_PAUSED,
    errors: [...JSON_FIELD_ERRORS, "request_too_large", ...EXPORT_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("export");
    await readOptionalJson(context, NO_FIELDS_BODY);
    await demandKnown(services, context, known(exports, name));
    const paused = action === "pause";
    const result = await exports.pauseExport(name, paused);
    if (!result.ok) return rejected(services, context, result, name);
    return json<ExportPaused>({ ok: true, export: name, paused });
  },
});

const flush = (services: Services, exports: ExportApi): Endpoint => ({
  method: "POST",
  path: "/broker/exports/:export/flush",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Write files of everything that the topic has now. Needs admin for its topic",
    tag: "exports",
    body: NO_FIELDS_BODY,
    answer: EXPORT_FLUSHED,
    errors: [...JSON_FIELD_ERRORS, "request_too_large", ...EXPORT_ERRORS],
  },
  handle: async (context) => {
    const name = context.path("export");
    await readOptionalJson(context, NO_FIELDS_BODY);
    await demandKnown(services, context, known(exports, name));
    const result = await exports.flushExport(name);
    if (!result.ok) return rejected(services, context, result, name);
    return json<ExportFlushed>({ ok: true, export: name, records: result.records });
  },
});

/** Reading an export and changing it need admin for its topic. */
const known = (exports: ExportApi, name: string): Known => ({
  scope: "admin",
  what: `export "${name}"`,
  topics: async () => {
    const topic = await exports.topicOfExport(name);
    return topic === null ? null : [topic];
  },
});

const rejected = (
  services: Services,
  context: RequestContext,
  rejection: Rejected,
  name: string,
  topic = "",
): Response =>
  services.errorMapper.answer(
    context,
    rejection,
    aboutReader(rejection, topic, `export "${name}"`),
  );

const countsOf = ({ files, rows, bytes, lost, lagRecords, lagMs }: ExportCounts) => ({
  files,
  rows,
  bytes,
  lost,
  lag_records: lagRecords,
  lag_seconds: lagMs / 1000,
});

const summaryOf = (one: ExportSummary) => ({
  export: one.export,
  topic: one.topic,
  url: one.url,
  // The definition was checked when it was put. Its numbers keep their digits.
  ...(one.format === "" ? {} : (exactJson(one.format) as object)),
  every_ms: one.everyMs,
  max_bytes: one.maxBytes,
  compression: one.compression,
  from: one.from,
  hold: one.hold,
  state: one.state,
  ...countsOf(one),
  manifest: one.manifest,
  failures: one.failures,
  last_error: one.lastError,
  last_error_at_ms: one.lastErrorAtMs,
});
