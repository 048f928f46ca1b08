/** Consumer groups of all topics with their lag. */

import type { TopicDescribed, TopicList } from "../../../api/topics.ts";
import { send } from "../api.ts";
import { count } from "../lib/format.ts";
import { describeTopic, listTopics } from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { every } from "../poll.ts";
import { mark } from "../router.ts";
import { curlButton } from "../ui/curl.ts";
import { h } from "../ui/dom.ts";
import { row, textField } from "../ui/form.ts";
import { heading, type PageContext, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { groupPage } from "./group.ts";
import { type GroupSummary, groupLink, groupsOf, noGroups } from "./topic-groups.ts";

const REFRESH_MS = 5000;
/** Each topic needs one request. With more topics than this, a group is found on its topic's page. */
const TOPICS_MAX = 300;
const AT_ONCE = 4;

export function groupsPage(context: PageContext): HTMLElement {
  const [, topic, group] = context.route.path;
  return topic === undefined || group === undefined
    ? groupList(context)
    : groupPage(context, topic, group);
}

function groupList({ route, signal }: PageContext): HTMLElement {
  const trouble = new Trouble();
  const remark = h("p", { class: "hint" });
  const filter = textField("Filter by name", { type: "search", "data-search": true });
  filter.control.value = route.query.get("filter") ?? "";
  let groups: readonly GroupSummary[] = [];
  let firstTopic = "orders";
  const table = new Table<GroupSummary>({
    caption: "Groups",
    keyOf: ({ topic, group }) => `${topic} ${group}`,
    empty: () => (groups.length > 0 ? "No group matches the filter." : noGroups(firstTopic)),
    columns: [
      { label: "Group", cell: ({ topic, group }) => groupLink(topic, group) },
      {
        label: "Topic",
        cell: ({ topic }) => h("a", { href: hashOf(["topics", topic, "groups"]) }, topic),
      },
      { label: "Partitions", kind: "number", wide: true, cell: (each) => count(each.partitions) },
      { label: "Lag", kind: "number", cell: ({ lag }) => count(lag) },
    ],
  });
  const show = () => {
    const wanted = filter.control.value.toLowerCase();
    table.update(
      groups.filter(({ topic, group }) => `${group} ${topic}`.toLowerCase().includes(wanted)),
    );
  };
  filter.control.addEventListener("input", () => {
    mark(["groups"], { filter: filter.control.value });
    show();
  });
  void every(REFRESH_MS, signal, () =>
    trouble.watch(signal, async () => {
      const { topics, next } = await send<TopicList>(listTopics("", TOPICS_MAX), signal);
      firstTopic = topics[0]?.topic ?? firstTopic;
      remark.textContent =
        typeof next === "string"
          ? `Groups of the first ${TOPICS_MAX} topics. The page of a topic shows its own groups.`
          : "";
      groups = await groupsIn(
        topics.map(({ topic }) => topic),
        signal,
      );
      show();
    }),
  );
  return h(
    "div",
    {},
    heading(
      "Groups",
      "groups",
      curlButton(() => describeTopic(groups[0]?.topic ?? firstTopic)),
    ),
    row(filter.element),
    remark,
    trouble.element,
    table.element,
  );
}

/** Sorts by lag, the largest first. */
async function groupsIn(
  topics: readonly string[],
  signal: AbortSignal,
): Promise<readonly GroupSummary[]> {
  const waiting = [...topics];
  const found: GroupSummary[] = [];
  const work = async () => {
    for (let topic = waiting.shift(); topic !== undefined; topic = waiting.shift()) {
      const { groups } = await send<TopicDescribed>(describeTopic(topic), signal);
      found.push(...groupsOf(topic, groups));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found.sort((a, b) => b.lag - a.lag || (a.group < b.group ? -1 : 1));
}
