/** Shows members, owners and positions of one group in one topic, moves it, and deletes it. */

import type { GroupDescribed, Sought } from "../../../api/groups.ts";
import type { TopicDescribed } from "../../../api/topics.ts";
import { ApiFailure, send } from "../api.ts";
import { count, plural } from "../lib/format.ts";
import {
  deleteGroup,
  describeGroup,
  describeTopic,
  type GroupPlace,
  seekGroup,
} from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { every } from "../poll.ts";
import { go } from "../router.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction, openDialog } from "../ui/dialog.ts";
import { h, setText } from "../ui/dom.ts";
import { button, form, numberField, requiredNumber, row, submitButton } from "../ui/form.ts";
import { heading, type PageContext, section, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";

const REFRESH_MS = 2000;

type Position = {
  readonly partition: number;
  readonly committed: number | null;
  readonly low: number;
  readonly end: number;
  readonly lag: number;
  readonly owner: string;
};
type Member = GroupDescribed["members"][number];

export function groupPage({ signal }: PageContext, topic: string, group: string): HTMLElement {
  const trouble = new Trouble();
  const facts = h("p", { class: "facts" }, "…");
  let positions: readonly Position[] = [];
  const load = () =>
    trouble.watch(signal, async () => {
      const described = await send<TopicDescribed>(describeTopic(topic), signal);
      const found = await groupOrNone(group, signal);
      positions = positionsOf(described, group, topic, found);
      const lag = positions.reduce((sum, each) => sum + each.lag, 0);
      const sharing = (found?.members ?? []).filter(({ topics }) => topics.includes(topic));
      const shared = sharing.length === 0 ? "" : ` · ${plural(sharing.length, "member")}`;
      setText(facts, `${plural(positions.length, "partition")} · lag ${count(lag)}${shared}`);
      table.update(positions);
      members.update(sharing);
    });
  const seek = (partition: number) => {
    const position = positions.find((each) => each.partition === partition);
    if (position !== undefined) seekDialog({ topic, group, partition }, position, load);
  };
  const table = new Table<Position>({
    caption: `Positions of ${group}`,
    keyOf: ({ partition }) => String(partition),
    empty: () => "The topic has no partitions.",
    columns: [
      {
        label: "Partition",
        cell: ({ partition, committed }) =>
          h(
            "a",
            {
              href: hashOf(["topics", topic, "messages"], { partition, offset: committed ?? 0 }),
              "data-item": true,
            },
            String(partition),
          ),
      },
      {
        label: "Committed",
        kind: "number",
        cell: ({ committed }) => (committed === null ? "–" : count(committed)),
      },
      { label: "End", kind: "number", cell: ({ end }) => count(end) },
      { label: "Lag", kind: "number", cell: ({ lag }) => count(lag) },
      { label: "Owner", cell: ({ owner }) => owner },
      { label: "", cell: ({ partition }) => button("Seek…", () => seek(partition)) },
    ],
  });
  const members = new Table<Member>({
    caption: `Members of ${group}`,
    keyOf: ({ member }) => member,
    empty: () =>
      "No member shares these partitions. Consumers join with POST /broker/groups/{group}/join.",
    columns: [
      { label: "Member", cell: ({ member }) => member },
      { label: "Partitions", kind: "number", cell: (each) => count(each.partitions) },
      { label: "Lease", kind: "number", cell: (each) => `${count(each.lease_ms)} ms` },
    ],
  });
  void every(REFRESH_MS, signal, load);
  return h(
    "div",
    {},
    h(
      "nav",
      { "aria-label": "Where", class: "crumbs" },
      h("a", { href: hashOf(["groups"]) }, "Groups"),
      " / ",
      h("a", { href: hashOf(["topics", topic, "groups"]) }, topic),
    ),
    heading(
      group,
      "groups",
      curlButton(() => describeTopic(topic)),
    ),
    facts,
    trouble.element,
    table.element,
    section("Members", members.element),
    section("Delete", row(button("Delete this group…", () => destroy(group), { class: "bad" }))),
  );
}

/** A group is more than its positions in this topic, so the warning names all topics. */
function destroy(group: string): void {
  confirmDestruction({
    title: "Delete this group",
    warning:
      "The offsets that it has committed in all topics are deleted permanently, and its members are removed. A consumer that still uses it starts with the first message that is retained.",
    name: group,
    request: deleteGroup(group),
    done: () => go(["groups"]),
  });
}

/** Null if the group has neither committed nor been joined. */
async function groupOrNone(group: string, signal: AbortSignal): Promise<GroupDescribed | null> {
  try {
    return await send<GroupDescribed>(describeGroup(group), signal);
  } catch (error) {
    if (error instanceof ApiFailure && error.code === "group_not_found") return null;
    throw error;
  }
}

function positionsOf(
  { partitions, groups }: TopicDescribed,
  group: string,
  topic: string,
  found: GroupDescribed | null,
): readonly Position[] {
  return partitions.map(({ partition, low_watermark: low, end_offset: end }) => {
    const position = groups.find((each) => each.group === group && each.partition === partition);
    const { committed_offset: committed = null, lag = 0 } = position ?? {};
    const slot = found?.partitions.find(
      (each) => each.topic === topic && each.partition === partition,
    );
    const next = slot?.next === undefined ? "" : `, then ${slot.next}`;
    return { partition, committed, low, end, lag, owner: `${slot?.owner ?? "–"}${next}` };
  });
}

function seekDialog(place: GroupPlace, { low, end }: Position, done: () => void): void {
  const offset = numberField(
    "Next offset to read",
    { value: String(end) },
    `From ${count(low)}, the first retained message, to ${count(end)}, the end.`,
  );
  const request = () => seekGroup(place, requiredNumber(offset.control, "The offset"));
  const submit = async () => {
    const wanted = requiredNumber(offset.control, "The offset");
    // The server would clamp the offset, which is not what the user asked for.
    if (wanted > end) throw new Error(`The offset must be at most ${count(end)}, the end`);
    const { offsets } = await send<Sought>(seekGroup(place, wanted));
    dialog.close();
    note(`${place.group} continues at ${count(offsets[0]?.committed_offset ?? wanted)}`);
    done();
  };
  const dialog = openDialog(
    `Seek in partition ${place.partition}`,
    form(
      "Seek",
      submit,
      h(
        "p",
        {},
        "A seek moves the group forwards or back. It is durable. A member continues there. Messages " +
          "that it read before are not committed any more.",
      ),
      offset.element,
      row(
        submitButton("Move"),
        button("Cancel", () => dialog.close()),
        curlButton(request),
      ),
    ),
  );
  offset.control.focus();
  offset.control.select();
}
