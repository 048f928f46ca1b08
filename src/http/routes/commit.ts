import { NO_QUERY } from "../../api/common.ts";
import { COMMIT_BODY, COMMITTED, type Committed } from "../../api/groups.ts";
import { readJson } from "../body.ts";
import type { Endpoint } from "../request-context.ts";
import { json, placeOf } from "../responses.ts";
import type { Services } from "../services.ts";

export const commitEndpoints = (services: Services): readonly Endpoint[] => [
  {
    method: "POST",
    path: "/broker/commit",
    // As in Kafka, the scope to read a topic is enough to commit an offset.
    access: { kind: "body", scope: "read" },
    leaderOnly: true,
    byLink: true,
    query: NO_QUERY,
    docs: {
      summary: "Store how far a group has read; never moves back",
      tag: "consume",
      body: COMMIT_BODY,
      answer: COMMITTED,
      errors: [
        "topic_not_found",
        "partition_not_found",
        "too_many_groups",
        "too_many_offsets",
        "commit_timeout",
      ],
    },
    handle: async (context) => {
      const { topic, group, partition, offset } = await readJson(context, COMMIT_BODY);
      context.demand("read", topic);
      const { compat, node, errorMapper } = services;
      const next = compat.toNextOffset(offset);
      const result = await node.commitOffset({ topic, group, partition, offset: next });
      if (!result.ok) {
        const about = `${placeOf(topic, partition)}, offset ${offset}`;
        return errorMapper.answer(context, result, about);
      }
      const committed = compat.fromNextOffset(result.committedOffset, result.committedOffset);
      const clamped = result.clamped ? ({ clamped: true } as const) : {};
      return json<Committed>({ ok: true, committed_offset: committed, ...clamped });
    },
  },
];
