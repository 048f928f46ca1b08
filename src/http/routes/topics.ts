import { NO_QUERY } from "../../api/common.ts";
import {
  createTopicBody,
  OFFSETS_AT,
  OFFSETS_QUERY,
  type OffsetsAt,
  TOPIC_CREATED,
  TOPIC_DELETED,
  TOPIC_DESCRIBED,
  TOPIC_LIST,
  TOPIC_LIST_QUERY,
  type TopicCreated,
  type TopicDeleted,
} from "../../api/topics.ts";
import type { RejectCode, Result, TopicDescription } from "../../node/api.ts";
import { readJson } from "../body.ts";
import { ApiError } from "../errors.ts";
import { queryReader } from "../query.ts";
import type { Endpoint } from "../request-context.ts";
import { json, placeOf } from "../responses.ts";
import type { Services } from "../services.ts";
import { descriptionAnswer, ROWS_AT_ONCE } from "../topic-description.ts";
import { allTopics, topicPage } from "../topic-list.ts";

const readOffsetsQuery = queryReader(OFFSETS_QUERY);
const readListQuery = queryReader(TOPIC_LIST_QUERY);
/** A larger `limit` counts as this. */
const LIMIT_MAX = 1000;

export const topicEndpoints = (services: Services): readonly Endpoint[] => [
  createTopic(services),
  listTopics(services),
  describeTopic(services),
  offsetsAt(services),
  deleteTopic(services),
];

function createTopic({ node, options, errorMapper }: Services): Endpoint {
  const body = createTopicBody(options.limits.topicPartitionsMax);
  return {
    method: "POST",
    path: "/broker/topics",
    // A produce may create its topic, so the scope to write is enough here too.
    access: { kind: "body", scope: "write" },
    leaderOnly: true,
    byLink: true,
    query: NO_QUERY,
    docs: {
      summary: "Create a topic; the same request again has the same answer",
      tag: "topics",
      body,
      answer: TOPIC_CREATED,
      errors: ["missing_topic", "invalid_topic", "topic_exists", "too_many_partitions"],
    },
    handle: async (context) => {
      const { name, partitions = options.defaultPartitions } = await readJson(context, body);
      if (!context.principal.may("admin", name)) context.demand("write", name);
      const result = await node.createTopic(name, partitions);
      if (!result.ok) {
        const about = `${placeOf(name, null)} with ${partitions} partitions`;
        return errorMapper.answer(context, result, about);
      }
      return json<TopicCreated>({ ok: true, topic: result.topic, partitions: result.partitions });
    },
  };
}

const offsetsAt = ({ node, errorMapper }: Services): Endpoint => ({
  method: "GET",
  path: "/broker/topics/:topic/offsets",
  access: { kind: "path", scope: "read" },
  leaderOnly: false,
  query: OFFSETS_QUERY,
  docs: {
    summary: "The first record of each partition that is not older than a time",
    tag: "topics",
    answer: OFFSETS_AT,
    errors: ["invalid_topic", "topic_not_found", "data_damaged"],
  },
  handle: async (context) => {
    const topic = context.path("topic");
    const { time_ms: timeMs } = readOffsetsQuery(context);
    if (timeMs === null) {
      throw new ApiError("invalid_parameter", "time_ms is required: milliseconds since 1970");
    }
    const found = await node.offsetsAt({ topic, partition: null, timeMs, linearizable: false });
    if (!found.ok) return errorMapper.answer(context, found, placeOf(topic, null));
    const offsets = found.offsets.map(({ partition, offset, timestampMs }) => ({
      partition,
      offset,
      timestamp_ms: timestampMs,
    }));
    return json<OffsetsAt>({ ok: true, topic, offsets });
  },
});

const listTopics = (services: Services): Endpoint => ({
  method: "GET",
  path: "/broker/topics",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: TOPIC_LIST_QUERY,
  docs: {
    summary: "The topics that the token may read",
    tag: "topics",
    answer: TOPIC_LIST,
    errors: ["overloaded"],
  },
  handle: (context) => {
    const { prefix, after, limit } = readListQuery(context);
    const range = { prefix: prefix ?? "", after: after ?? "" };
    if (limit === null) return allTopics(services, context, range);
    return topicPage(services, context, { ...range, limit: Math.min(limit, LIMIT_MAX) });
  },
});

const describeTopic = (services: Services): Endpoint => ({
  method: "GET",
  path: "/broker/topics/:topic",
  access: { kind: "path", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "Partitions and consumer groups of a topic",
    tag: "topics",
    answer: TOPIC_DESCRIBED,
    errors: ["invalid_topic", "topic_not_found"],
  },
  handle: async (context) => {
    const topic = context.path("topic");
    const describe = () => services.node.describeTopic(topic, ROWS_AT_ONCE);
    let result: Result<TopicDescription, RejectCode> = await describe();
    if (!result.ok) result = (await services.node.catchUp()) ?? (await describe());
    if (!result.ok) return services.errorMapper.answer(context, result, placeOf(topic, null));
    return descriptionAnswer(services, context, result);
  },
});

const deleteTopic = ({ node, errorMapper }: Services): Endpoint => ({
  method: "DELETE",
  path: "/broker/topics/:topic",
  access: { kind: "path", scope: "admin" },
  leaderOnly: true,
  byLink: true,
  query: NO_QUERY,
  docs: {
    summary: "Delete a topic with its records and groups",
    tag: "topics",
    answer: TOPIC_DELETED,
    errors: ["invalid_topic", "topic_not_found", "commit_timeout"],
  },
  handle: async (context) => {
    const topic = context.path("topic");
    const result = await node.deleteTopic(topic);
    if (!result.ok) return errorMapper.answer(context, result, placeOf(topic, null));
    return json<TopicDeleted>({ ok: true, topic, deleted: true });
  },
});
