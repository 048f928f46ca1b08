/** The groups that read a topic. */
import type { GroupLag, TopicDescribed } from "../../../api/topics.ts";
import { count } from "../lib/format.ts";
import { commit } from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { h } from "../ui/dom.ts";
import { emptyState } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import type { TopicContext } from "./topic.ts";

export type GroupSummary = {
  readonly topic: string;
  readonly group: string;
  readonly partitions: number;
  readonly lag: number;
};

/** One row per group, the largest lag first. */
export function groupsOf(topic: string, positions: readonly GroupLag[]): GroupSummary[] {
  const groups = new Map<string, GroupSummary>();
  for (const { group, lag } of positions) {
    const { partitions = 0, lag: before = 0 } = groups.get(group) ?? {};
    groups.set(group, { topic, group, partitions: partitions + 1, lag: before + lag });
  }
  return [...groups.values()].sort((a, b) => b.lag - a.lag);
}

export const groupLink = (topic: string, group: string): HTMLElement =>
  h("a", { href: hashOf(["groups", topic, group]), "data-item": true }, group);

export const noGroups = (topic: string): HTMLElement =>
  emptyState(
    "No group has committed here yet. The first commit creates a group:",
    commit({ topic, group: "billing", partition: 0 }, 0),
  );

export function topicGroupsTab({ name, topic, watch }: TopicContext): HTMLElement {
  const table = new Table<GroupSummary>({
    caption: "Groups",
    keyOf: ({ group }) => group,
    empty: () => noGroups(name),
    columns: [
      { label: "Group", cell: ({ group }) => groupLink(name, group) },
      { label: "Partitions", kind: "number", cell: ({ partitions }) => count(partitions) },
      { label: "Lag", kind: "number", cell: ({ lag }) => count(lag) },
    ],
  });
  const show = (next: TopicDescribed) => table.update(groupsOf(name, next.groups));
  show(topic);
  watch(show);
  return table.element;
}
