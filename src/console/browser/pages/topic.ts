/** One topic: messages, produce, partitions, groups, producers and settings. */

import type { TopicDescribed } from "../../../api/topics.ts";
import { send } from "../api.ts";
import { samples } from "../app.ts";
import { byteSize, perSecond, plural } from "../lib/format.ts";
import { describeTopic } from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { every } from "../poll.ts";
import { rateOf } from "../samples.ts";
import { curlButton } from "../ui/curl.ts";
import { h, setText } from "../ui/dom.ts";
import type { ManualPage } from "../ui/manual.ts";
import { heading, type PageContext, Trouble } from "../ui/page.ts";
import { messagesTab } from "./messages.ts";
import { partitionsTab } from "./partitions.ts";
import { produceTab } from "./produce.ts";
import { topicGroupsTab } from "./topic-groups.ts";
import { topicProducersTab } from "./topic-producers.ts";
import { topicSettingsTab } from "./topic-settings.ts";

export type TopicContext = PageContext & {
  readonly name: string;
  /** The topic as of the time when the tab opened. */
  readonly topic: TopicDescribed;
  /** Calls the listener now and whenever the topic was read again. */
  readonly watch: (listener: (topic: TopicDescribed) => void) => void;
};
type Tab = {
  readonly name: string;
  readonly label: string;
  /** The page of the manual that explains the tab. */
  readonly help: ManualPage;
  build(context: TopicContext): HTMLElement;
};

const MESSAGES: Tab = { name: "messages", label: "Messages", help: "consume", build: messagesTab };
const TABS: readonly Tab[] = [
  MESSAGES,
  { name: "produce", label: "Produce", help: "produce", build: produceTab },
  { name: "partitions", label: "Partitions", help: "topics", build: partitionsTab },
  { name: "groups", label: "Groups", help: "groups", build: topicGroupsTab },
  { name: "producers", label: "Producers", help: "produce", build: topicProducersTab },
  { name: "settings", label: "Settings", help: "topics", build: topicSettingsTab },
];
const REFRESH_MS = 2000;

export function topicPage(context: PageContext, name: string): HTMLElement {
  const { signal } = context;
  const trouble = new Trouble();
  const facts = h("p", { class: "facts" }, "…");
  const content = h("div", {}, h("p", { class: "waiting" }, "Loading…"));
  const wanted = context.route.path[2] ?? "messages";
  const listeners: ((topic: TopicDescribed) => void)[] = [];
  let last: TopicDescribed | null = null;
  void every(REFRESH_MS, signal, () =>
    trouble.watch(signal, async () => {
      const topic = await send<TopicDescribed>(describeTopic(name), signal);
      const isFirst = last === null;
      last = topic;
      setText(facts, factsOf(topic));
      if (isFirst) content.replaceChildren(tabOf(wanted).build(contextOf(topic)));
      for (const listener of listeners) listener(topic);
    }),
  );
  const contextOf = (topic: TopicDescribed): TopicContext => ({
    ...context,
    name,
    topic,
    watch: (listener) => listeners.push(listener),
  });
  return h(
    "div",
    {},
    h(
      "nav",
      { "aria-label": "Where", class: "crumbs" },
      h("a", { href: hashOf(["topics"]) }, "Topics"),
    ),
    heading(
      name,
      tabOf(wanted).help,
      curlButton(() => describeTopic(name)),
    ),
    facts,
    tabs(name, wanted),
    trouble.element,
    content,
  );
}

const tabOf = (wanted: string): Tab => TABS.find(({ name }) => name === wanted) ?? MESSAGES;

function tabs(topic: string, wanted: string): HTMLElement {
  const links = TABS.map(({ name, label }) => {
    const current = name === wanted ? "page" : null;
    return h(
      "li",
      {},
      h("a", { href: hashOf(["topics", topic, name]), "aria-current": current }, label),
    );
  });
  return h("nav", { "aria-label": "Topic", class: "tabs" }, h("ul", {}, ...links));
}

function factsOf({ topic, partitions }: TopicDescribed): string {
  const messages = partitions.reduce((sum, p) => sum + p.end_offset - p.low_watermark, 0);
  const bytes = partitions.reduce((sum, p) => sum + p.bytes, 0);
  const rate = samples.now(rateOf(topic));
  const parts = [
    plural(partitions.length, "partition"),
    plural(messages, "message"),
    byteSize(bytes),
  ];
  if (rate !== null) parts.push(perSecond(rate));
  return parts.join(" · ");
}
