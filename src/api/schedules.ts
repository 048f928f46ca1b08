/** Records that are produced later: once, or again and again. */
import { Type as t } from "@sinclair/typebox";
import { NAME_PATTERN, natural, ok, partition, topic, type Wire } from "./common.ts";

const STRICT = { additionalProperties: false };
const catchUp = t.Union([t.Literal("none"), t.Literal("one"), t.Literal("all")], {
  description: "Slots that passed while no leader was there: none of them, the last one, or all",
});
const headers = t.Record(t.String(), t.String());
export const CRON_BODY = t.Object(
  {
    cron: t.String({ maxLength: 256, description: "Minute, hour, day, month, day of the week" }),
    tz: t.Optional(t.String({ maxLength: 64, description: "Time zone; absent: UTC" })),
    topic,
    key: t.Optional(t.String()),
    value: t.Unknown({ description: "A string is stored as its text, any other value as JSON" }),
    headers: t.Optional(headers),
    catch_up: t.Optional(catchUp),
  },
  STRICT,
);
export const CRON_PUT = t.Object({
  ok,
  schedule: t.String(),
  created: t.Boolean(),
  next_ms: t.Union([natural("The next slot"), t.Null()]),
});
export type CronPut = Wire<typeof CRON_PUT>;
const cron = t.Object({
  schedule: t.String({ pattern: NAME_PATTERN, description: "Name" }),
  cron: t.String(),
  tz: t.String(),
  topic,
  key: t.Optional(t.String()),
  value: t.Optional(t.String()),
  value_b64: t.Optional(t.String()),
  headers: t.Optional(headers),
  catch_up: catchUp,
  next_ms: t.Union([natural("The next slot"), t.Null()], { description: "Null: there is none" }),
  last_ms: t.Union([natural("The last slot that was produced"), t.Null()]),
  runs: natural("Slots that were produced"),
  missed: natural("Slots that were left out"),
});
const delayed = t.Object({
  schedule_id: t.String(),
  topic,
  partition,
  count: natural("Records"),
  deliver_at_ms: natural("When they are produced"),
});
export const SCHEDULE_QUERY = t.Object({
  topic: t.Optional(t.String({ pattern: NAME_PATTERN, description: "Only of this topic" })),
  after: t.Optional(t.String({ description: "`next` of the page before" })),
  limit: t.Optional(natural("Default 100; above 1000 counts as 1000", { minimum: 1 })),
});
export const SCHEDULE_LIST = t.Object({
  ok,
  schedules: t.Array(t.Union([cron, delayed]), {
    description:
      "Schedules that repeat, by name; then records that wait, in the order of their ids",
  }),
  next: t.Union([t.String(), t.Null()], {
    description: "`after` of the next page; null at the end",
  }),
});
export type ScheduleList = Wire<typeof SCHEDULE_LIST>;
export const SCHEDULE = t.Union([
  t.Composite([t.Object({ ok }), cron]),
  t.Composite([t.Object({ ok }), delayed]),
]);
export type Schedule = Wire<typeof SCHEDULE>;
export const SCHEDULE_DELETED = t.Object({ ok, schedule: t.String(), deleted: ok });
export type ScheduleDeleted = Wire<typeof SCHEDULE_DELETED>;
