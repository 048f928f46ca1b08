/** Panels of queues, webhooks, schedules and exports. */
import { type Panel, query } from "./panel.ts";

export const WORK: readonly Panel[] = [
  {
    title: "Queues",
    about: "Messages that can be received, that are leased, and that wait for a retry.",
    kind: "lines",
    unit: "short",
    queries: [
      query("{{queue}} ready", "topk(10, max by (queue) (ayder_queue_ready{}))"),
      query("{{queue}} in flight", "topk(10, max by (queue) (ayder_queue_in_flight{}))"),
      query("{{queue}} delayed", "topk(10, max by (queue) (ayder_queue_delayed{}))"),
    ],
  },
  {
    title: "Age in queues",
    about: "Age of the oldest message that a queue has not finished.",
    kind: "lines",
    unit: "s",
    queries: [query("{{queue}}", "topk(10, max by (queue) (ayder_queue_oldest_seconds{}))")],
  },
  {
    title: "Dead letters",
    about: "Messages that queues have put aside, and those that retention deleted before.",
    kind: "lines",
    unit: "short",
    queries: [
      query("{{queue}}", "topk(10, max by (queue) (ayder_queue_dead{}))"),
      query("{{queue}} lost", "topk(10, max by (queue) (ayder_queue_lost_records{}))"),
    ],
  },
  {
    title: "Acknowledged messages",
    about: "Messages that workers of queues have finished.",
    kind: "lines",
    unit: "ops",
    queries: [
      query(
        "{{queue}}",
        "topk(10, max by (queue) (deriv(ayder_queue_acked_records{}[$__rate_interval])))",
      ),
    ],
  },
  {
    title: "Records of webhooks",
    about:
      "Records that webhooks can deliver, are delivering, and will deliver again after a wait.",
    kind: "lines",
    unit: "short",
    queries: [
      query("{{webhook}} ready", "topk(10, max by (webhook) (ayder_webhook_ready{}))"),
      query("{{webhook}} in flight", "topk(10, max by (webhook) (ayder_webhook_in_flight{}))"),
      query("{{webhook}} delayed", "topk(10, max by (webhook) (ayder_webhook_delayed{}))"),
      query("{{webhook}} paused", "topk(10, max by (webhook) (ayder_webhook_paused{}))"),
    ],
  },
  {
    title: "Age in webhooks",
    about: "Age of the oldest record that a webhook has not delivered.",
    kind: "lines",
    unit: "s",
    queries: [query("{{webhook}}", "topk(10, max by (webhook) (ayder_webhook_oldest_seconds{}))")],
  },
  {
    title: "Requests of webhooks",
    about:
      "Requests to receivers per second, and how many wait for their answers. A failed one is repeated after a wait.",
    kind: "lines",
    unit: "reqps",
    queries: [
      query("delivered", "sum(rate(ayder_webhook_deliveries_total{}[$__rate_interval]))"),
      query("failed", "sum(rate(ayder_webhook_failures_total{}[$__rate_interval]))"),
      query("in flight", "sum(ayder_webhook_requests_in_flight{})"),
    ],
  },
  {
    title: "Outcomes of webhooks",
    about:
      "Records that webhooks have delivered and left out, put aside, and lost to retention before.",
    kind: "lines",
    unit: "short",
    queries: [
      query(
        "{{webhook}} delivered",
        "topk(10, max by (webhook) (ayder_webhook_delivered_records{}))",
      ),
      query(
        "{{webhook}} filtered",
        "topk(10, max by (webhook) (ayder_webhook_filtered_records{}))",
      ),
      query("{{webhook}} dead", "topk(10, max by (webhook) (ayder_webhook_dead{}))"),
      query("{{webhook}} lost", "topk(10, max by (webhook) (ayder_webhook_lost_records{}))"),
    ],
  },
  {
    title: "Schedules",
    about: "Records that wait for their time, and slots of schedules that were left out.",
    kind: "lines",
    unit: "short",
    queries: [
      query("waiting", "max(ayder_scheduled_waiting{})"),
      query("{{schedule}} runs", "topk(10, max by (schedule) (ayder_schedule_runs{}))"),
      query("{{schedule}} missed", "topk(10, max by (schedule) (ayder_schedule_missed{}))"),
    ],
  },
  {
    title: "Lateness of schedules",
    about: "For how long the first record has been due that waits for its time.",
    kind: "lines",
    unit: "s",
    queries: [query("late", "max(ayder_scheduled_late_seconds{})")],
  },
  {
    title: "Exports",
    about: "Age of the oldest record that is in no file yet, and attempts in a row that failed.",
    kind: "lines",
    unit: "s",
    queries: [
      query("{{export}}", "topk(10, max by (export) (ayder_export_lag_seconds{}))"),
      query("{{export}} failures", "topk(10, max by (export) (ayder_export_failures{}))"),
    ],
  },
  {
    title: "Records to export",
    about: "Records that are in no file yet, and those that were deleted before.",
    kind: "lines",
    unit: "short",
    queries: [
      query("{{export}}", "topk(10, max by (export) (ayder_export_lag_records{}))"),
      query("{{export}} lost", "topk(10, max by (export) (ayder_export_lost_records{}))"),
    ],
  },
  {
    title: "Exported rows",
    about: "Rows, files and bytes that exports have committed.",
    kind: "lines",
    unit: "short",
    queries: [
      query("{{export}} rows", "topk(10, max by (export) (ayder_export_rows{}))"),
      query("{{export}} files", "topk(10, max by (export) (ayder_export_files{}))"),
      query("{{export}} bytes", "topk(10, max by (export) (ayder_export_bytes{}))"),
    ],
  },
];
