/** Series of queues, webhooks, schedules and exports. */
import type { ExportSample, WorkSample } from "./sources.ts";

type Sample = { readonly labels?: Readonly<Record<string, string>>; readonly value: number };
type Series = {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  readonly read: () => Iterable<Sample>;
};

type OfQueue = (sample: WorkSample["queues"][number]) => number;
const QUEUE_SERIES: readonly (readonly [name: string, help: string, of: OfQueue])[] = [
  ["ayder_queue_ready", "Records that a queue can give out", (q) => q.ready],
  ["ayder_queue_in_flight", "Records of a queue that are leased", (q) => q.inFlight],
  ["ayder_queue_delayed", "Records of a queue that wait for their retry", (q) => q.delayed],
  ["ayder_queue_dead", "Records that a queue has put aside and not moved back", (q) => q.dead],
  [
    "ayder_queue_acked_records",
    "Records of a queue that were acknowledged since it was created",
    (q) => q.acked,
  ],
  [
    "ayder_queue_lost_records",
    "Records that retention deleted before a queue had finished them",
    (q) => q.lost,
  ],
  [
    "ayder_queue_oldest_seconds",
    "Age of the oldest record that a queue has not finished",
    (q) => q.oldestSeconds,
  ],
];

type OfWebhook = (sample: WorkSample["webhooks"][number]) => number;
const WEBHOOK_SERIES: readonly (readonly [name: string, help: string, of: OfWebhook])[] = [
  ["ayder_webhook_ready", "Records that a webhook can deliver", (w) => w.ready],
  ["ayder_webhook_in_flight", "Records that a webhook is delivering", (w) => w.inFlight],
  ["ayder_webhook_delayed", "Records of a webhook that wait for their retry", (w) => w.delayed],
  ["ayder_webhook_dead", "Records that a webhook has put aside and not moved back", (w) => w.dead],
  [
    "ayder_webhook_delivered_records",
    "Records that a webhook has delivered since it was created",
    (w) => w.delivered,
  ],
  [
    "ayder_webhook_filtered_records",
    "Records that the filter of a webhook has left out since it was created",
    (w) => w.filtered,
  ],
  [
    "ayder_webhook_lost_records",
    "Records that retention deleted before a webhook had delivered them",
    (w) => w.lost,
  ],
  [
    "ayder_webhook_oldest_seconds",
    "Age of the oldest record that a webhook has not finished",
    (w) => w.oldestSeconds,
  ],
  ["ayder_webhook_paused", "Webhook is paused: 1, otherwise 0", (w) => w.paused],
];

type OfExport = (sample: ExportSample) => number;
const EXPORT_SERIES: readonly (readonly [name: string, help: string, of: OfExport])[] = [
  ["ayder_export_lag_records", "Records that are in no file of an export yet", (e) => e.lagRecords],
  [
    "ayder_export_lag_seconds",
    "Age of the oldest record that is in no file of an export",
    (e) => e.lagSeconds,
  ],
  ["ayder_export_files", "Files that an export has committed", (e) => e.files],
  ["ayder_export_rows", "Rows in the files of an export", (e) => e.rows],
  ["ayder_export_bytes", "Bytes of the files of an export", (e) => e.bytes],
  [
    "ayder_export_lost_records",
    "Records that were deleted before they were exported",
    (e) => e.lost,
  ],
  [
    "ayder_export_failures",
    "Attempts of an export that failed in a row; only the leader knows them",
    (e) => e.failures,
  ],
];

/** @param add registers a gauge. */
export function addWork(add: (series: Series) => void, now: () => WorkSample): void {
  for (const [name, help, of] of QUEUE_SERIES) {
    const labelNames = ["queue"];
    const read = () =>
      now().queues.map((each) => ({ labels: { queue: each.queue }, value: of(each) }));
    add({ name, help, labelNames, read });
  }
  for (const [name, help, of] of WEBHOOK_SERIES) {
    const labelNames = ["webhook"];
    const read = () =>
      now().webhooks.map((each) => ({ labels: { webhook: each.webhook }, value: of(each) }));
    add({ name, help, labelNames, read });
  }
  for (const [name, help, of] of EXPORT_SERIES) {
    const labelNames = ["export"];
    const read = () =>
      now().exports.map((each) => ({ labels: { export: each.export }, value: of(each) }));
    add({ name, help, labelNames, read });
  }
  add({
    name: "ayder_scheduled_waiting",
    help: "Requests whose records wait for their time",
    read: () => [{ value: now().waiting }],
  });
  add({
    name: "ayder_scheduled_late_seconds",
    help: "For how long the first record has been due that waits for its time",
    read: () => [{ value: now().lateSeconds }],
  });
  const slots = (name: string, help: string, of: (s: WorkSample["schedules"][number]) => number) =>
    add({
      name,
      help,
      labelNames: ["schedule"],
      read: () =>
        now().schedules.map((each) => ({ labels: { schedule: each.schedule }, value: of(each) })),
    });
  slots("ayder_schedule_runs", "Slots that a schedule has produced", (s) => s.runs);
  slots("ayder_schedule_missed", "Slots that a schedule has left out", (s) => s.missed);
}
