/** Queues with their depth, their age and their dead letters, webhooks, and what is produced later. */

import type { Page } from "../../../api/consume.ts";
import type { QueueDescribed, QueueList } from "../../../api/queues.ts";
import type { ScheduleList } from "../../../api/schedules.ts";
import { send } from "../api.ts";
import { count, duration, timeOf } from "../lib/format.ts";
import {
  consume,
  deleteQueue,
  deleteSchedule,
  describeQueue,
  listQueues,
  listSchedules,
  listWebhooks,
  purgeQueue,
  redriveQueue,
} from "../lib/requests.ts";
import { hashOf } from "../lib/route.ts";
import { every } from "../poll.ts";
import { note } from "../ui/announce.ts";
import { curlButton } from "../ui/curl.ts";
import { confirmDestruction, openDialog } from "../ui/dialog.ts";
import { h } from "../ui/dom.ts";
import { button, row } from "../ui/form.ts";
import { helpLink } from "../ui/manual.ts";
import { heading, type PageContext, section, Trouble } from "../ui/page.ts";
import { Table } from "../ui/table.ts";
import { webhookTable } from "./webhooks.ts";

const REFRESH_MS = 5000;
/** Dead letters that are shown of each partition. */
const PEEK_MAX = 20;

type QueueRow = QueueList["queues"][number];
type ScheduleRow = ScheduleList["schedules"][number];
type DeadRow = {
  readonly place: string;
  readonly reason: string;
  readonly attempts: string;
  readonly text: string;
};

export function queuesPage({ signal }: PageContext): HTMLElement {
  const trouble = new Trouble();
  const queues = new Table<QueueRow>({
    caption: "Queues",
    keyOf: ({ queue }) => queue,
    empty: () => "No queues. A queue gives each record of a topic to one worker.",
    columns: [
      {
        label: "Queue",
        cell: ({ queue }) =>
          button(
            queue,
            () => trouble.watch(signal, () => openQueue(queue, signal, () => void load())),
            {
              class: "link",
              "data-item": true,
            },
          ),
      },
      { label: "Topic", cell: ({ topic }) => h("a", { href: hashOf(["topics", topic]) }, topic) },
      { label: "Ready", kind: "number", cell: ({ ready }) => count(ready) },
      { label: "In flight", kind: "number", cell: (each) => count(each.in_flight) },
      { label: "Delayed", kind: "number", wide: true, cell: ({ delayed }) => count(delayed) },
      { label: "Dead", kind: "number", cell: ({ dead }) => count(dead) },
      { label: "Acknowledged", kind: "number", wide: true, cell: ({ acked }) => count(acked) },
      { label: "Oldest", kind: "number", cell: (each) => ageOf(each.oldest_age_ms) },
    ],
  });
  const schedules = scheduleTable(() => void load());
  const webhooks = webhookTable(signal, trouble);
  const load = (): Promise<void> =>
    trouble.watch(signal, async () => {
      const [listed, later] = await Promise.all([
        send<QueueList>(listQueues, signal),
        send<ScheduleList>(listSchedules, signal),
      ]);
      queues.update(listed.queues);
      schedules.update(later.schedules);
      await webhooks.load();
    });
  void every(REFRESH_MS, signal, load);
  return h(
    "div",
    {},
    heading(
      "Queues",
      "queues",
      curlButton(() => listQueues),
    ),
    trouble.element,
    queues.element,
    section(
      "Webhooks",
      webhooks.element,
      row(
        helpLink("webhooks"),
        curlButton(() => listWebhooks),
      ),
    ),
    section("Produced later", schedules.element, row(curlButton(() => listSchedules))),
  );
}

const scheduleTable = (changed: () => void): Table<ScheduleRow> =>
  new Table<ScheduleRow>({
    caption: "Produced later",
    keyOf: nameOf,
    empty: () => "Nothing is scheduled.",
    columns: [
      { label: "Schedule", cell: (each) => nameOf(each) },
      { label: "Topic", cell: ({ topic }) => h("a", { href: hashOf(["topics", topic]) }, topic) },
      { label: "When", cell: (each) => ("cron" in each ? `${each.cron} ${each.tz}` : "once") },
      { label: "Next", cell: nextOf },
      { label: "Runs", kind: "number", cell: (each) => ("cron" in each ? count(each.runs) : "") },
      {
        label: "Missed",
        kind: "number",
        wide: true,
        cell: (each) => ("cron" in each ? count(each.missed) : ""),
      },
      {
        label: "",
        cell: (each) => button("Delete…", () => takeBack(nameOf(each), changed)),
      },
    ],
  });

const ageOf = (ms: number): string => (ms === 0 ? "" : duration(ms));
const nameOf = (each: ScheduleRow): string => ("cron" in each ? each.schedule : each.schedule_id);

function nextOf(each: ScheduleRow): string {
  const next = "cron" in each ? each.next_ms : each.deliver_at_ms;
  return next === null ? "" : timeOf(next);
}

const takeBack = (name: string, done: () => void): void =>
  confirmDestruction({
    title: "Delete this schedule",
    warning: "It produces nothing any more.",
    name,
    request: deleteSchedule(name),
    done,
  });

/** Shows one queue with its dead letters, and what can be done with it. */
async function openQueue(queue: string, signal: AbortSignal, changed: () => void): Promise<void> {
  const described = await send<QueueDescribed>(describeQueue(queue), signal);
  const dead = await deadLetters(described, signal);
  const table = new Table<DeadRow>({
    caption: "Dead letters",
    keyOf: ({ place }) => place,
    empty: () => "No dead letters that were not moved back.",
    fixed: true,
    columns: [
      { label: "Record", cell: ({ place }) => place },
      { label: "Reason", cell: ({ reason }) => reason },
      { label: "Attempts", kind: "number", cell: ({ attempts }) => attempts },
      { label: "Value", kind: "data", cell: ({ text }) => text },
    ],
  });
  table.update(dead);
  const redrive = async (): Promise<void> => {
    const answer = await send<{ moved: number }>(redriveQueue(queue));
    note(`Moved ${count(answer.moved)} dead letters back`);
    dialog.close();
    changed();
  };
  type Verb = "Delete" | "Purge";
  const destroy = (verb: Verb, warning: string, request: ReturnType<typeof deleteQueue>) => {
    dialog.close();
    const title = `${verb} this queue`;
    confirmDestruction({ title, warning, name: queue, request, done: changed, verb });
  };
  const dialog = openDialog(
    queue,
    h(
      "p",
      {},
      `${count(described.ready)} ready, ${count(described.in_flight)} in flight, ` +
        `${count(described.delayed)} delayed, ${count(described.lost_to_retention)} lost to retention. ` +
        `At most ${count(described.max_deliveries)} deliveries, leases of ${duration(described.visibility_ms)}.`,
    ),
    h("h3", {}, "Dead letters"),
    table.element,
    row(
      button("Move back", redrive),
      button("Purge…", () =>
        destroy("Purge", "All present messages count as finished.", purgeQueue(queue)),
      ),
      button("Delete…", () =>
        destroy("Delete", "Its topic and its dead letters stay.", deleteQueue(queue)),
      ),
      button("Close", () => dialog.close()),
      curlButton(() => redriveQueue(queue)),
    ),
  );
  dialog.element.classList.add("large");
}

async function deadLetters(queue: QueueDescribed, signal: AbortSignal): Promise<DeadRow[]> {
  const topic = queue.dead_letter;
  if (topic === null) return [];
  const rows: DeadRow[] = [];
  for (const { partition, offset } of queue.dead_letters) {
    const request = consume({ topic, partition, offset, limit: PEEK_MAX });
    const page = await send<Page>(request, signal);
    for (const { headers = {}, value_b64: value = "" } of page.messages) {
      if (headers["dead-queue"] !== queue.queue) continue;
      const place = `${headers["dead-topic"]}/${headers["dead-partition"]} ${headers["dead-offset"]}`;
      const [reason = "", attempts = ""] = [headers["dead-reason"], headers["dead-attempts"]];
      rows.push({ place, reason, attempts, text: textOf(value) });
    }
  }
  return rows;
}

function textOf(base64: string): string {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new TextDecoder().decode(bytes.subarray(0, 400));
}
