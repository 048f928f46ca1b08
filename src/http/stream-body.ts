import type { TSchema } from "@sinclair/typebox";
import { fromUtf8 } from "../lib/bytes.ts";
import type { Rejected } from "../node/api.ts";
import { readBytes } from "./body.ts";
import { ApiError, type ErrorCode } from "./errors.ts";
import { refuseUnknownFields } from "./fields.ts";
import { type JsonObject, parseJsonObject } from "./json.ts";
import type { RequestContext } from "./request-context.ts";
import type { Scope } from "./token-spec.ts";

/** Room for two schemas of 128 KiB. */
export const STREAM_BODY_BYTES_MAX = 512 * 1024;

export type StreamBody = {
  /** The raw text for the node, because its integers may have any size. */
  readonly text: string;
  /** The parsed fields, for the checks of the HTTP layer. */
  readonly fields: JsonObject;
};

/**
 * @throws ApiError if the body is not a JSON object, or has a repeated field or one that is not in
 * `schema`.
 */
export async function readStreamBody(
  context: RequestContext,
  schema: TSchema,
): Promise<StreamBody> {
  const bytes = await readBytes(
    context.request,
    context.bodies,
    STREAM_BODY_BYTES_MAX,
    "request_too_large",
  );
  const fields = parseJsonObject(bytes);
  if (!context.route.ignoresUnknown) refuseUnknownFields(schema, fields);
  return { text: fromUtf8(bytes), fields };
}

/**
 * Requires the scope for the topic that is read. A topic that is not a string is skipped here,
 * because the node rejects it.
 *
 * @param side the field that names the topic, such as `source`.
 */
export function demandSource(
  context: RequestContext,
  body: StreamBody,
  side: string,
  scope: Scope,
): void {
  const topic = topicIn(body, side);
  if (topic !== null) context.demand(scope, topic);
}

/** Null if the field names none, or none that is a string. */
export function topicIn({ fields }: StreamBody, side: string): string | null {
  const source = fields.get(side);
  const topic = source instanceof Map ? source.get("topic") : undefined;
  return typeof topic === "string" ? topic : null;
}

/** Maps a rejection of a topic or a group to its specific error code. The field is always named. */
export function bodyRejected({ code, message, details }: Rejected): Rejected | ApiError {
  const field = String(details?.["field"] ?? "");
  const better = BETTER_CODES[`${code} ${field.slice(field.lastIndexOf(".") + 1)}`];
  return better === undefined
    ? { ok: false, code, ...(message && { message }), ...(details && { details }) }
    : new ApiError(better, message, { field });
}

const BETTER_CODES: Readonly<Record<string, ErrorCode>> = {
  "missing_field topic": "missing_topic",
  "invalid_field topic": "invalid_topic",
  "invalid_field group": "invalid_group",
};
