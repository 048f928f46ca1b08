/** Consumer groups across all topics: list, describe and delete. */

import { NO_QUERY } from "../../api/common.ts";
import {
  GROUP_DELETED,
  GROUP_DESCRIBED,
  GROUP_LIST,
  type GroupDeleted,
  type GroupDescribed,
  type GroupList,
} from "../../api/groups.ts";
import type { GroupPosition } from "../../node/api.ts";
import type { Edge } from "../edge.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { json } from "../responses.ts";

export const groupEndpoints = (edge: Edge): readonly Endpoint[] => [
  listGroups(edge),
  describeGroup(edge),
  deleteGroup(edge),
];

const listGroups = ({ node }: Edge): Endpoint => ({
  method: "GET",
  path: "/broker/groups",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "The consumer groups, with their lag in the topics that the token may read",
    tag: "consume",
    answer: GROUP_LIST,
    errors: [],
  },
  handle: async ({ principal }) => {
    const byGroup = new Map<string, GroupPosition[]>();
    for (const position of await node.listGroups()) {
      if (!principal.may("read", position.topic)) continue;
      const positions = byGroup.get(position.group);
      if (positions === undefined) byGroup.set(position.group, [position]);
      else positions.push(position);
    }
    const groups = [...byGroup]
      .map(([group, positions]) => ({
        group,
        topics: new Set(positions.map(({ topic }) => topic)).size,
        partitions: positions.length,
        lag: positions.reduce((sum, { lag }) => sum + lag, 0),
      }))
      .sort((a, b) => (a.group < b.group ? -1 : 1));
    return json<GroupList>({ ok: true, groups });
  },
});

const describeGroup = ({ node, compat, errorMapper }: Edge): Endpoint => ({
  method: "GET",
  path: "/broker/groups/:group",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "Committed offsets of a group in the topics that the token may read",
    tag: "consume",
    answer: GROUP_DESCRIBED,
    errors: ["invalid_group", "group_not_found"],
  },
  handle: async (context) => {
    const group = context.path("group");
    const mayRead = async () =>
      (await positionsOf(node, group)).filter(({ topic }) => context.principal.may("read", topic));
    let positions = await mayRead();
    if (positions.length === 0) {
      // This node may lag, so the group may exist on the leader.
      const doubt = await node.doubt();
      if (doubt !== null) return errorMapper.answer(context, doubt, named(group));
      positions = await mayRead();
    }
    if (positions.length === 0) return errorMapper.answer(context, NOT_FOUND, named(group));
    const partitions = positions.map(({ topic, partition, committedOffset, lag }) => ({
      topic,
      partition,
      committed_offset: compat.fromNextOffset(committedOffset, committedOffset),
      lag,
    }));
    return json<GroupDescribed>({ ok: true, group, partitions });
  },
});

const deleteGroup = ({ node, errorMapper }: Edge): Endpoint => ({
  method: "DELETE",
  path: "/broker/groups/:group",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Forget what a group has committed, in all topics",
    tag: "consume",
    answer: GROUP_DELETED,
    errors: ["invalid_group", "group_not_found", "commit_timeout"],
  },
  handle: async (context) => {
    const group = context.path("group");
    demandAll(context, await positionsOf(node, group));
    const result = await node.deleteGroup(group);
    if (!result.ok) return errorMapper.answer(context, result, named(group));
    return json<GroupDeleted>({ ok: true, group, deleted: true, offsets: result.offsets });
  },
});

const NOT_FOUND = { ok: false, code: "group_not_found" } as const;
const named = (group: string): string => `group "${group}"`;

const positionsOf = async (node: Edge["node"], group: string): Promise<GroupPosition[]> =>
  (await node.listGroups()).filter((position) => position.group === group);

/** A token for some topics removes a group only if it has committed in no other topic. */
function demandAll(context: RequestContext, positions: readonly GroupPosition[]): void {
  for (const topic of new Set(positions.map((position) => position.topic))) {
    context.demand("admin", topic);
  }
}
