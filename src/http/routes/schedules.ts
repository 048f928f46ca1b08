/** Records that are produced later: those that wait, and schedules that repeat. */
import { NO_QUERY } from "../../api/common.ts";
import {
  CRON_BODY,
  CRON_PUT,
  type CronPut,
  SCHEDULE,
  SCHEDULE_DELETED,
  SCHEDULE_LIST,
  SCHEDULE_QUERY,
  type Schedule,
  type ScheduleDeleted,
  type ScheduleList,
} from "../../api/schedules.ts";
import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import type { CronRequest, CronSummary, LaterApi, ScheduledSummary } from "../../node/api.ts";
import { decodeHeaders } from "../../record/headers.ts";
import { JSON_FIELD_ERRORS, readJson } from "../body.ts";
import { ApiError, type ErrorCode, shown } from "../errors.ts";
import { type Json, type JsonObject, jsonTextOf } from "../json.ts";
import { demandIfKnown, demandKnown, type Known } from "../known.ts";
import { checkCron, checkTopic } from "../names.ts";
import { queryReader } from "../query.ts";
import { HeaderList } from "../record-headers.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { json } from "../responses.ts";
import { scheduleIdOf, scheduleText } from "../schedule-ids.ts";
import type { Services } from "../services.ts";
import type { Scope } from "../token-spec.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const BODY_ERRORS: readonly ErrorCode[] = [
  ...JSON_FIELD_ERRORS,
  "missing_topic",
  "invalid_topic",
  "invalid_header",
  "request_too_large",
];

export const scheduleEndpoints = (services: Services, later: LaterApi): readonly Endpoint[] => [
  putCron(services, later),
  listSchedules(later),
  getSchedule(services, later),
  deleteSchedule(services, later),
];

const putCron = (services: Services, later: LaterApi): Endpoint => ({
  method: "PUT",
  path: "/broker/schedules/:schedule",
  access: { kind: "body", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Produce a record at each slot of a cron expression. Needs admin for its topic",
    tag: "schedules",
    body: CRON_BODY,
    answer: CRON_PUT,
    errors: [
      ...BODY_ERRORS,
      "invalid_schedule",
      "invalid_cron",
      "topic_not_found",
      "too_many_schedules",
      "cluster_not_upgraded",
      "commit_timeout",
    ],
  },
  handle: async (context) => {
    const name = checkCron(context.path("schedule"));
    const request = await readCron(context);
    context.demand("admin", request.topic);
    await demandIfKnown(services, context, known(later, name, "admin"));
    const result = await later.putCron(name, request);
    if (!result.ok) {
      const about = result.code === "topic_not_found" ? `topic "${request.topic}"` : "";
      return services.errorMapper.answer(context, result, about);
    }
    const cron = (await later.listCrons()).find((each) => each.name === name);
    const next = cron?.nextMs ?? null;
    return json<CronPut>({ ok: true, schedule: name, created: result.created, next_ms: next });
  },
});

async function readCron(context: RequestContext): Promise<CronRequest> {
  const fields = await readJson(context, CRON_BODY);
  // The readers of fields leave a value of any type as the parser has made it.
  const { value, headers } = fields as unknown as { value: Json; headers: JsonObject | undefined };
  const bytes = utf8(typeof value === "string" ? value : jsonTextOf(value));
  return {
    cron: fields.cron,
    tz: fields.tz ?? "",
    topic: fields.topic,
    key: fields.key === undefined ? null : utf8(fields.key),
    value: bytes,
    headers: readHeaders(headers ?? new Map()),
    catchUp: fields.catch_up ?? "none",
  };
}

function readHeaders(value: JsonObject): Uint8Array {
  const list = new HeaderList();
  for (const [name, text] of value) {
    if (typeof text !== "string") {
      throw new ApiError(
        "invalid_header",
        `Field "headers.${name}" is ${shown(text)}: it must be a string`,
      );
    }
    list.add(name.toLowerCase(), text);
  }
  return list.encode().bytes;
}

const readList = queryReader(SCHEDULE_QUERY);

const listSchedules = (later: LaterApi): Endpoint => ({
  method: "GET",
  path: "/broker/schedules",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: SCHEDULE_QUERY,
  docs: {
    summary: "Schedules and records that wait, of the topics that the token may read",
    tag: "schedules",
    answer: SCHEDULE_LIST,
    errors: ["invalid_topic", "invalid_parameter"],
  },
  handle: async (context) => {
    const { topic, after, limit } = readList(context);
    if (topic !== null) context.demand("read", checkTopic(topic));
    const start = after === null ? { afterName: "", afterId: 0 } : positionOf(after);
    const { principal } = context;
    const max = Math.min(limit ?? LIMIT_DEFAULT, LIMIT_MAX);
    const crons = (start.afterName === null ? [] : await later.listCrons())
      .filter(({ name }) => name > (start.afterName ?? ""))
      .filter((each) => topic === null || each.topic === topic)
      .filter((each) => principal.may("read", each.topic));
    const listed = crons.slice(0, max);
    const room = max - listed.length;
    const waiting = await later.listScheduled({ topic, after: start.afterId, limit: room + 1 });
    const page = waiting.slice(0, room);
    const hasMore = crons.length > max || waiting.length > room;
    return json<ScheduleList>({
      ok: true,
      schedules: [
        ...listed.map(cronFields),
        ...page.filter((each) => principal.may("read", each.topic)).map(waitingFields),
      ],
      next: hasMore ? nextOf(listed.at(-1), page.at(-1)) : null,
    });
  },
});

/** Where a page begins: behind the schedule of a name, or behind the records that wait with an id. */
type Position = { readonly afterName: string | null; readonly afterId: number };

function positionOf(after: string): Position {
  const id = scheduleIdOf(after);
  if (id !== null) return { afterName: null, afterId: id };
  const afterName = CRON_POSITION.exec(after)?.[1];
  if (afterName !== undefined) return { afterName, afterId: 0 };
  throw new ApiError(
    "invalid_parameter",
    `after is ${shown(after)}: it must be what "next" of the page before was`,
  );
}

const CRON_PREFIX = "cron:";
const CRON_POSITION = new RegExp(`^${CRON_PREFIX}([A-Za-z0-9._-]{1,249})$`);

function nextOf(lastCron: CronSummary | undefined, last: ScheduledSummary | undefined) {
  if (last !== undefined) return scheduleText(last.scheduleId);
  return lastCron === undefined ? null : `${CRON_PREFIX}${lastCron.name}`;
}

const getSchedule = (services: Services, later: LaterApi): Endpoint => ({
  method: "GET",
  path: "/broker/schedules/:schedule",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "A schedule, or records that wait, as far as this node knows",
    tag: "schedules",
    answer: SCHEDULE,
    errors: ["invalid_schedule", "schedule_not_found"],
  },
  handle: async (context) => {
    const name = context.path("schedule");
    await demandKnown(services, context, known(later, name, "read"));
    let found = await find(later, name);
    if (found === null) {
      // This node may lag, so the schedule may exist on the leader.
      const behind = await services.node.catchUp();
      if (behind !== null) return services.errorMapper.answer(context, behind, named(name));
      found = await find(later, name);
    }
    if (found === null) return services.errorMapper.answer(context, NOT_FOUND, named(name));
    return json<Schedule>({ ok: true, ...found });
  },
});

const deleteSchedule = (services: Services, later: LaterApi): Endpoint => ({
  method: "DELETE",
  path: "/broker/schedules/:schedule",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  byLink: true,
  query: NO_QUERY,
  docs: {
    summary: "Delete a schedule, or records that wait. Needs admin for the topic",
    tag: "schedules",
    answer: SCHEDULE_DELETED,
    errors: ["invalid_schedule", "schedule_not_found", "commit_timeout"],
  },
  handle: async (context) => {
    const name = context.path("schedule");
    await demandKnown(services, context, known(later, name, "admin"));
    const id = scheduleIdOf(name);
    const result = await (id === null ? later.deleteCron(name) : later.deleteScheduled(id));
    if (!result.ok) return services.errorMapper.answer(context, result, named(name));
    return json<ScheduleDeleted>({ ok: true, schedule: name, deleted: true });
  },
});

const NOT_FOUND = { ok: false, code: "schedule_not_found" } as const;
const named = (name: string): string => `schedule "${name}"`;

async function find(later: LaterApi, name: string) {
  const id = scheduleIdOf(name);
  if (id !== null) {
    const waiting = await later.findScheduled(id);
    return waiting === null ? null : waitingFields(waiting);
  }
  const cron = (await later.listCrons()).find((each) => each.name === name);
  return cron === undefined ? null : cronFields(cron);
}

const known = (later: LaterApi, name: string, scope: Scope): Known => ({
  scope,
  what: named(name),
  topics: async () => {
    const found = await find(later, name);
    return found === null ? null : [found.topic];
  },
});

const waitingFields = ({ scheduleId, topic, partition, count, deliverAtMs }: ScheduledSummary) => ({
  schedule_id: scheduleText(scheduleId),
  topic,
  partition,
  count,
  deliver_at_ms: deliverAtMs,
});

function cronFields(cron: CronSummary) {
  const { key, value, headers } = cron;
  const list = decodeHeaders(headers, 0, headers.length).map((each) => [each.name, each.value]);
  return {
    schedule: cron.name,
    cron: cron.cron,
    tz: cron.tz === "" ? "UTC" : cron.tz,
    topic: cron.topic,
    ...(key === null ? {} : { key: fromUtf8(key) }),
    value: fromUtf8(value),
    ...(list.length === 0 ? {} : { headers: Object.fromEntries(list) }),
    catch_up: cron.catchUp,
    next_ms: cron.nextMs,
    last_ms: cron.lastMs,
    runs: cron.runs,
    missed: cron.missed,
  };
}
