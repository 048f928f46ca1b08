/** Producers that number their writes: list and forget. */
import {
  FORGET_PRODUCER_QUERY,
  PRODUCER_FORGOTTEN,
  PRODUCER_LIST,
  PRODUCERS_QUERY,
  type ProducerForgotten,
  type ProducerList,
} from "../../api/producers.ts";
import { shown } from "../errors.ts";
import { checkedId, invalid } from "../producer-headers.ts";
import { queryReader } from "../query.ts";
import type { Endpoint } from "../request-context.ts";
import { json, placeOf } from "../responses.ts";
import type { Services } from "../services.ts";

const LIMIT_DEFAULT = 100;
const readListQuery = queryReader(PRODUCERS_QUERY);
const readForgetQuery = queryReader(FORGET_PRODUCER_QUERY);

export const producerEndpoints = (services: Services): readonly Endpoint[] => [
  listProducers(services),
  forgetProducer(services),
];

const listProducers = ({ node, errorMapper }: Services): Endpoint => ({
  method: "GET",
  path: "/broker/topics/:topic/producers",
  access: { kind: "path", scope: "read" },
  leaderOnly: false,
  query: PRODUCERS_QUERY,
  docs: {
    summary: "The last writes of producers that number them, the last one first",
    tag: "produce",
    answer: PRODUCER_LIST,
    errors: ["invalid_topic", "invalid_producer", "topic_not_found", "partition_not_found"],
  },
  handle: async (context) => {
    const topic = context.path("topic");
    const { partition, id, limit } = readListQuery(context);
    const checked = id === null ? null : checkedId(id, "id");
    const request = { topic, partition, id: checked, limit: limit ?? LIMIT_DEFAULT };
    let found = await node.producers.list(request);
    if (!found.ok && found.code === "topic_not_found") {
      // This node may lag, so the topic may exist on the leader.
      const behind = await node.catchUp();
      if (behind !== null) return errorMapper.answer(context, behind, placeOf(topic, null));
      found = await node.producers.list(request);
    }
    if (!found.ok) return errorMapper.answer(context, found, placeOf(topic, partition));
    const producers = found.producers.map(({ lastWriteMs, ...entry }) => ({
      ...entry,
      last_write_ms: lastWriteMs,
    }));
    return json<ProducerList>({ ok: true, topic, total: found.total, producers });
  },
});

const forgetProducer = ({ node, errorMapper }: Services): Endpoint => ({
  method: "DELETE",
  path: "/broker/topics/:topic/producers",
  access: { kind: "path", scope: "admin" },
  leaderOnly: true,
  byLink: true,
  query: FORGET_PRODUCER_QUERY,
  docs: {
    summary: "Forget a producer of a topic: its numbers begin at 0 again",
    tag: "produce",
    answer: PRODUCER_FORGOTTEN,
    errors: [
      "invalid_topic",
      "invalid_producer",
      "topic_not_found",
      "producer_not_found",
      "cluster_not_upgraded",
      "commit_timeout",
    ],
  },
  handle: async (context) => {
    const topic = context.path("topic");
    const { id } = readForgetQuery(context);
    if (id === null) throw invalid("id is required: the Producer-Id");
    const result = await node.producers.forget(topic, checkedId(id, "id"));
    if (!result.ok) {
      return errorMapper.answer(context, result, `${placeOf(topic, null)}, producer ${shown(id)}`);
    }
    const { partitions } = result;
    return json<ProducerForgotten>({ ok: true, topic, id, partitions });
  },
});
