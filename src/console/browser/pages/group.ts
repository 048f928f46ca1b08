/** Shows the positions of one group in one topic, moves them forward, and deletes the group. */

import type { Committed } from "../../../api/groups.ts";
import type { TopicDescribed } from "../../../api/topics.ts";
import { send } from "../api.ts";
import { count, plural } from "../lib/format.ts";
import { commit, deleteGroup, describeTopic, type GroupPlace } from "../lib/requests.ts";
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
  readonly end: number;
  readonly lag: number;
};

export function groupPage({ signal }: PageContext, topic: string, group: string): HTMLElement {
  const trouble = new Trouble();
  const facts = h("p", { class: "facts" }, "…");
  let positions: readonly Position[] = [];
  const load = () =>
    trouble.watch(signal, async () => {
      positions = positionsOf(await send<TopicDescribed>(describeTopic(topic), signal), group);
      const lag = positions.reduce((sum, each) => sum + each.lag, 0);
      setText(facts, `${plural(positions.length, "partition")} · lag ${count(lag)}`);
      table.update(positions);
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
      {
        label: "Lag",
        kind: "number",
        cell: ({ lag }) => count(lag),
      },
      { label: "", cell: ({ partition }) => button("Seek…", () => seek(partition)) },
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
    section("Delete", row(button("Delete this group…", () => destroy(group), { class: "bad" }))),
  );
}

/** A group is more than its positions in this topic, so the warning names all topics. */
function destroy(group: string): void {
  confirmDestruction({
    title: "Delete this group",
    warning:
      "The offsets that it has committed in all topics are deleted permanently. A consumer that still uses it starts with the first message that is retained.",
    name: group,
    request: deleteGroup(group),
    done: () => go(["groups"]),
  });
}

function positionsOf({ partitions, groups }: TopicDescribed, group: string): readonly Position[] {
  return partitions.map(({ partition, end_offset: end }) => {
    const position = groups.find((each) => each.group === group && each.partition === partition);
    const { committed_offset: committed = null, lag = 0 } = position ?? {};
    return { partition, committed, end, lag };
  });
}

/** A seek is a commit, so it moves forward only. */
function seekDialog(place: GroupPlace, { committed, end }: Position, done: () => void): void {
  const offset = numberField(
    "Next offset to read",
    { value: String(end) },
    `From ${count(committed ?? 0)} to ${count(end)}, the end.`,
  );
  const request = () => commit(place, requiredNumber(offset.control, "The offset"));
  const submit = async () => {
    const wanted = requiredNumber(offset.control, "The offset");
    // The server would clamp the offset to the end, which is not what the user asked for.
    if (wanted > end) throw new Error(`The offset must be at most ${count(end)}, the end`);
    const now = (await send<Committed>(commit(place, wanted))).committed_offset ?? 0;
    if (now > wanted)
      throw new Error(`The offset remains ${count(now)}: a commit never moves back`);
    dialog.close();
    note(`${place.group} continues at ${count(now)}`);
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
        "A seek is a commit. It is durable and never moves back. To read earlier messages " +
          "again, read from an offset, or use another group.",
      ),
      offset.element,
      row(
        submitButton("Commit"),
        button("Cancel", () => dialog.close()),
        curlButton(request),
      ),
    ),
  );
  offset.control.focus();
  offset.control.select();
}
