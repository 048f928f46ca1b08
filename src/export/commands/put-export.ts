import { feature as faultPoint } from "bun:bundle";
import type { BrokerState, HasBroker, TopicState } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import {
  EXPORTS_FEATURE,
  EXPORTS_LEVEL,
  EXPORTS_MAX,
  type ExportDefinition,
  FORMAT_BYTES_MAX,
  fixedDifference,
  isSameExport,
} from "../definition.ts";
import { decodeDefinition, encodeDefinition } from "../format.ts";
import {
  addExport,
  closeExport,
  ExportPartition,
  type ExportRejected,
  ExportState,
  type ExportsState,
  exportRejected,
  findExportByName,
  formatBytesOf,
  type HasExports,
} from "../state.ts";

export type PutExport = {
  readonly type: "put_export";
  readonly name: string;
  readonly definition: ExportDefinition;
};

export type PutExportResult =
  | {
      readonly ok: true;
      readonly type: "put_export";
      readonly exportId: number;
      /** False if the export existed already; its definition may have changed. */
      readonly created: boolean;
    }
  | ExportRejected<"export_exists" | "export_url_taken" | "too_many_exports" | "topic_not_found">;

/** Creates an export or changes its definition, for ranges that are decided from now on. */
export function applyPutExport(
  state: ExportsState,
  broker: BrokerState,
  nowMs: number,
  { name, definition }: PutExport,
): PutExportResult {
  const topic = broker.topicsByName.get(definition.topic);
  if (topic === undefined) return exportRejected("topic_not_found");
  const found = findExportByName(state, broker, name);
  const different = found === undefined ? null : fixedDifference(found.one.definition, definition);
  if (different !== null) return exportRejected("export_exists", { field: different });
  if (found === undefined) closeOrphans(state, broker, nowMs);
  const other = [...state.byName.values(), ...state.closing.values()].find(
    ({ definition: { url } }) => url === definition.url,
  );
  if (other !== undefined && other !== found?.one) {
    return exportRejected("export_url_taken", { export: other.name });
  }
  const before = found === undefined ? 0 : formatBytesOf(found.one.definition);
  const bytes = state.formatBytes - before + formatBytesOf(definition);
  const isFull = found === undefined && countOf(state) >= EXPORTS_MAX;
  if (isFull || bytes > FORMAT_BYTES_MAX) {
    return exportRejected("too_many_exports", { exports_max: EXPORTS_MAX });
  }
  if (found === undefined) {
    const { exportId } = create(state, topic, nowMs, name, definition);
    return { ok: true, type: "put_export", exportId, created: true };
  }
  const { one } = found;
  if (!isSameExport(one.definition, definition)) {
    one.definition = definition;
    if (faultPoint("export-changes-an-open-range")) changeOpen(one, definition);
    state.formatBytes = bytes;
  }
  return { ok: true, type: "put_export", exportId: one.exportId, created: false };
}

function changeOpen({ partitions }: ExportState, definition: ExportDefinition): void {
  for (const each of partitions) if (each.open !== null) each.open = { ...each.open, definition };
}

function create(
  state: ExportsState,
  topic: TopicState,
  nowMs: number,
  name: string,
  definition: ExportDefinition,
): ExportState {
  const isLatest = definition.from === "latest";
  const partitions = topic.partitions.map(
    ({ partition, lowWatermark, endOffset }) =>
      new ExportPartition(partition, isLatest ? endOffset : lowWatermark),
  );
  const id = state.nextExportId++;
  const one = new ExportState(id, name, topic.topicId, nowMs, definition, partitions);
  addExport(state, one);
  return one;
}

const countOf = ({ byName, closing }: ExportsState): number => byName.size + closing.size;

/** Ends the exports of deleted topics. */
function closeOrphans(state: ExportsState, broker: BrokerState, nowMs: number): void {
  for (const one of [...state.byName.values()]) {
    if (!broker.topicsById.has(one.topicId)) closeExport(state, one, nowMs);
  }
}

export const putExport: LeveledKind<PutExport, PutExportResult, HasBroker & HasExports & HasNow> = {
  type: "put_export",
  tag: 110,
  level: EXPORTS_LEVEL,
  feature: EXPORTS_FEATURE,
  encode(body, { name, definition }) {
    body.text(name);
    encodeDefinition(body, definition);
  },
  decode: (body) => ({
    type: "put_export",
    name: body.text(),
    definition: decodeDefinition(body),
  }),
  apply: ({ broker, parts, now }, command) => applyPutExport(parts.exports, broker, now, command),
  summarize: ({ exportId, created }, summary) => summary.numbers(exportId, created ? 1 : 0),
};

/** The time of the entry. */
type HasNow = { readonly now: number };
