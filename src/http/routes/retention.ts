import { NO_QUERY } from "../../api/common.ts";
import {
  DELETE_BEFORE_BODY,
  DELETED,
  type Deleted,
  RETENTION_BODY,
  RETENTION_LIST,
  RETENTION_SET,
  type RetentionList,
  type RetentionSet,
} from "../../api/retention.ts";
import { readJson } from "../body.ts";
import { ApiError } from "../errors.ts";
import type { Endpoint } from "../request-context.ts";
import { json, placeOf } from "../responses.ts";
import type { Services } from "../services.ts";

const EVERY_TOPIC = "*";

export const retentionEndpoints = (services: Services): readonly Endpoint[] => [
  deleteBefore(services),
  setRetention(services),
  listRetention(services),
];

const deleteBefore = ({ node, errorMapper }: Services): Endpoint => ({
  method: "POST",
  path: "/broker/delete-before",
  access: { kind: "body", scope: "admin" },
  leaderOnly: true,
  byLink: true,
  query: NO_QUERY,
  docs: {
    summary: "Delete all records below an offset, for ever",
    tag: "retention",
    body: DELETE_BEFORE_BODY,
    answer: DELETED,
    errors: ["topic_not_found", "partition_not_found", "data_damaged", "commit_timeout"],
  },
  handle: async (context) => {
    const body = await readJson(context, DELETE_BEFORE_BODY);
    const { topic, partition, before_offset: beforeOffset } = body;
    context.demand("admin", topic);
    const result = await node.deleteBefore({ topic, partition, beforeOffset });
    if (!result.ok) {
      const about = `${placeOf(topic, partition)}, before_offset ${beforeOffset}`;
      return errorMapper.answer(context, result, about);
    }
    const { deletedCount, freedBytes } = result;
    const clamped = result.clamped ? ({ clamped: true } as const) : {};
    return json<Deleted>({
      ok: true,
      deleted_count: deletedCount,
      freed_bytes: freedBytes,
      ...clamped,
    });
  },
});

const setRetention = ({ node, errorMapper }: Services): Endpoint => ({
  method: "POST",
  path: "/broker/retention",
  access: { kind: "body", scope: "admin" },
  leaderOnly: true,
  byLink: true,
  query: NO_QUERY,
  docs: {
    summary: "Set how long and how much is kept; 0 switches a rule off, null lets it inherit",
    tag: "retention",
    body: RETENTION_BODY,
    answer: RETENTION_SET,
    errors: ["topic_not_found", "partition_not_found", "cluster_not_upgraded", "commit_timeout"],
  },
  handle: async (context) => {
    const body = await readJson(context, RETENTION_BODY);
    const { topic, partition = null } = body;
    const ttlMs = limitIn(body.ttl_ms);
    const maxBytes = limitIn(body.max_bytes);
    context.demand("admin", topic === EVERY_TOPIC ? null : topic);
    if (ttlMs === null && maxBytes === null) {
      throw new ApiError("missing_field", 'One of the fields "ttl_ms" and "max_bytes" is required');
    }
    const result = await node.setRetention({ topic, partition, ttlMs, maxBytes });
    if (!result.ok) return errorMapper.answer(context, result, placeOf(topic, partition));
    return json<RetentionSet>({
      ok: true,
      ttl_applied: ttlMs !== null,
      size_applied: maxBytes !== null,
    });
  },
});

const limitIn = (value: number | null | undefined) =>
  value === null ? "inherit" : (value ?? null);

const listRetention = ({ node }: Services): Endpoint => ({
  method: "GET",
  path: "/broker/retention",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "The retention policies in force",
    tag: "retention",
    answer: RETENTION_LIST,
    errors: [],
  },
  handle: async (context) => {
    const policies = (await node.listRetention())
      .filter(({ topic }) => topic === EVERY_TOPIC || context.principal.may("read", topic))
      .map(({ topic, partition, ttlMs, maxBytes }) => ({
        topic,
        partition,
        ttl_ms: ttlMs,
        max_bytes: maxBytes,
      }));
    return json<RetentionList>({ ok: true, policies });
  },
});
