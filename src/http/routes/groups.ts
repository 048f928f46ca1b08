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
import type { GroupDescription } from "../../node/api.ts";
import { knownGroup, topicsOfGroup, topicsWithin } from "../group-topics.ts";
import { demandKnown } from "../known.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { json } from "../responses.ts";
import type { Services } from "../services.ts";

export const groupEndpoints = (services: Services): readonly Endpoint[] => [
  listGroups(services),
  describeGroup(services),
  deleteGroup(services),
];

type Summary = {
  readonly group: string;
  topics: number;
  partitions: number;
  members: number;
  lag: number;
};

const listGroups = ({ node }: Services): Endpoint => ({
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
    const byGroup = new Map<string, Summary>();
    for (const { group, topic, partitions, members, lag } of await node.groups.list()) {
      if (!principal.may("read", topic)) continue;
      const summary = byGroup.get(group) ?? { group, topics: 0, partitions: 0, members: 0, lag: 0 };
      summary.topics++;
      summary.partitions += partitions;
      summary.members = Math.max(summary.members, members);
      summary.lag += lag;
      byGroup.set(group, summary);
    }
    const groups = [...byGroup.values()].sort((a, b) => (a.group < b.group ? -1 : 1));
    return json<GroupList>({ ok: true, groups });
  },
});

const describeGroup = (services: Services): Endpoint => ({
  method: "GET",
  path: "/broker/groups/:group",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "Members, owners and lag of a group in the topics that the token may read",
    tag: "consume",
    answer: GROUP_DESCRIBED,
    errors: ["invalid_group", "group_not_found"],
  },
  handle: async (context) => {
    const { node, compat, errorMapper } = services;
    const group = context.path("group");
    // A token for some topics sees what the group does in these.
    await demandKnown(services, context, {
      ...knownGroup(services, group, "read"),
      topics: async () => topicsWithin(context, "read", await topicsOfGroup(services, group)),
    });
    const look = async () => visible(context, await node.groups.describe(group));
    let found = await look();
    if (found === null) {
      // This node may lag, so the group may exist on the leader.
      const behind = await node.catchUp();
      if (behind !== null) return errorMapper.answer(context, behind, named(group));
      found = await look();
    }
    if (found === null) return errorMapper.answer(context, NOT_FOUND, named(group));
    const members = found.members.map((each) => ({
      member: each.member,
      lease_until_ms: each.leaseUntilMs,
      lease_ms: each.leaseMs,
      topics: each.topics,
      partitions: each.partitions,
    }));
    const partitions = found.partitions.map((each) => ({
      topic: each.topic,
      partition: each.partition,
      owner: each.owner,
      ...(each.next === null ? {} : { next: each.next }),
      generation: each.generation,
      committed_offset:
        each.committedOffset === null
          ? null
          : compat.fromNextOffset(each.committedOffset, each.committedOffset),
      lag: each.lag,
      lag_seconds: each.lagSeconds,
    }));
    const lag = partitions.reduce((sum, each) => sum + each.lag, 0);
    return json<GroupDescribed>({ ok: true, group, members, partitions, lag });
  },
});

/** Returns the members and partitions whose topics the token may read; null if there are none. */
function visible(
  { principal }: RequestContext,
  found: GroupDescription | null,
): GroupDescription | null {
  if (found === null || principal.may("read", null)) return found;
  const members = found.members.filter(({ topics }) =>
    topics.some((topic) => principal.may("read", topic)),
  );
  const partitions = found.partitions.filter(({ topic }) => principal.may("read", topic));
  return members.length + partitions.length === 0 ? null : { members, partitions };
}

const deleteGroup = (services: Services): Endpoint => ({
  method: "DELETE",
  path: "/broker/groups/:group",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Forget what a group has committed, in all topics, and remove its members",
    tag: "consume",
    answer: GROUP_DELETED,
    errors: ["invalid_group", "group_not_found", "commit_timeout"],
  },
  handle: async (context) => {
    const group = context.path("group");
    // A token for some topics removes a group only if it has joined or committed in no other topic.
    await demandKnown(services, context, knownGroup(services, group, "admin"));
    const { node, errorMapper } = services;
    const result = await node.deleteGroup(group);
    if (!result.ok) return errorMapper.answer(context, result, named(group));
    const { offsets, members } = result;
    return json<GroupDeleted>({ ok: true, group, deleted: true, offsets, members });
  },
});

const NOT_FOUND = { ok: false, code: "group_not_found" } as const;
const named = (group: string): string => `group "${group}"`;
