import type { DecoderCache } from "./codecs/decoder-cache.ts";
import { type Projection, projectionOf } from "./project.ts";
import { PROJECTED_FIELDS_MAX } from "./query-request.ts";
import { namesRecord } from "./record-fields.ts";
import { type Parsed, parsed, RequestField } from "./request-fields.ts";
import { LIMIT_MAX, readSource, type Source, timeUnitOf } from "./source-request.ts";
import type { Path, Value } from "./value.ts";
import { type ReadTime, timeReader } from "./window.ts";

export type JoinType = "inner" | "left" | "right" | "full";
export type JoinSideRequest = {
  readonly source: Source;
  /** Most records to read. */
  readonly limit: number;
  readonly keys: readonly Path[];
  /** Some field is one of the record, such as `$key`: see `record-fields.ts`. */
  readonly namesRecord: boolean;
  readonly timeOf: ReadTime;
  /** Null: the request has no list of fields for this side. */
  readonly projection: Projection | null;
};

/** A checked body of `POST /broker/join`. */
export type JoinRequest = {
  readonly left: JoinSideRequest;
  readonly right: JoinSideRequest;
  readonly type: JoinType;
  readonly sizeMs: number;
  readonly latenessMs: number;
  readonly maxRows: number;
  readonly missingAs: "null" | "empty";
  readonly dedupeOnce: boolean;
};

const LIMIT_DEFAULT = 500;
const SIZE_MS_DEFAULT = 60_000;
const MAX_ROWS_DEFAULT = 200;
const KEYS_MAX = 16;

/** @param body the parsed JSON; use `parseJsonText`, which keeps long integers. */
export function parseJoinRequest(body: unknown, decoders: DecoderCache): Parsed<JoinRequest> {
  return parsed(() => readRequest(new RequestField(body as Value), decoders));
}

function readRequest(root: RequestField, decoders: DecoderCache): JoinRequest {
  root.object();
  const [leftKeys, rightKeys] = readKeys(root.at("on"));
  const window = root.at("window");
  const emit = root.at("emit");
  const timeField = window.at("time_field").fieldPathOrNull();
  const side = (name: "left" | "right", keys: readonly Path[]): JoinSideRequest => {
    const source = readSource(root.at(name), decoders, { allPartitions: false });
    const timeOf = timeReader(timeField, timeUnitOf(source.decoder, timeField));
    const limit = source.limit ?? LIMIT_DEFAULT;
    const fields = emit.at(`${name}_fields`);
    const projected = fields.isAbsent ? null : fields.fieldPaths(PROJECTED_FIELDS_MAX);
    return {
      source,
      limit,
      keys,
      namesRecord: namesRecord([...keys, timeField, ...(projected ?? [])]),
      timeOf,
      projection: projected === null ? null : projectionOf(projected),
    };
  };
  return {
    left: side("left", leftKeys),
    right: side("right", rightKeys),
    type: root.at("join").at("type").oneOfOr("inner", ["inner", "left", "right", "full"]),
    sizeMs: window.at("size_ms").integerOr(SIZE_MS_DEFAULT, 0, Number.MAX_SAFE_INTEGER),
    latenessMs: window.at("allowed_lateness_ms").integerOr(0, 0, Number.MAX_SAFE_INTEGER),
    maxRows: emit.at("max_rows").integerOr(MAX_ROWS_DEFAULT, 1, LIMIT_MAX),
    missingAs: emit.at("missing_as").oneOfOr("null", ["null", "empty"]),
    dedupeOnce: readDedupe(root),
  };
}

function readKeys(on: RequestField): [Path[], Path[]] {
  if (on.isAbsent) return on.fail("is missing: which fields must be equal?");
  on.object();
  const lists = [on.at("left_keys"), on.at("right_keys")] as const;
  if (lists[0].isAbsent && lists[1].isAbsent) {
    return [[on.at("left_key").fieldPath()], [on.at("right_key").fieldPath()]];
  }
  for (const one of [on.at("left_key"), on.at("right_key")]) {
    if (!one.isAbsent) return one.fail("must not stand beside left_keys and right_keys");
  }
  const left = lists[0].fieldPaths(KEYS_MAX);
  const right = lists[1].fieldPaths(KEYS_MAX);
  if (left.length === 0) return lists[0].fail("must name at least one field");
  if (left.length !== right.length) return lists[1].fail("must be as long as on.left_keys");
  return [left, right];
}

function readDedupe(root: RequestField): boolean {
  const mode = root.at("dedupe").at("mode");
  const byMode = !mode.isAbsent && mode.oneOf(["once", "none"]) === "once";
  return root.at("dedupe_once").boolean(false) || byMode;
}
