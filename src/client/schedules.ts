/** Records that are produced later: once, or again and again. */
import type { CronPut, ScheduleList } from "../api/schedules.ts";
import type { ScheduleEntry } from "./queue-types.ts";
import { fields, flag, integer, list, orNull, text } from "./shape.ts";
import { ACCEPTED } from "./shapes.ts";
import type { CallOptions, Transport } from "./transport.ts";
import { segment } from "./url.ts";
import { type RecordHeaders, recordJson, type Value } from "./values.ts";

const PUT = fields<CronPut>({ created: flag, next_ms: orNull(integer) });
const LIST = fields<ScheduleList>({
  schedules: list(fields<object>({})) as never,
  next: orNull(text),
});
const ONE = fields<object>({});

export type ScheduleDefinition = {
  /** Minute, hour, day of the month, month, day of the week; six fields begin with the second. */
  readonly cron: string;
  /** @default UTC */
  readonly tz?: string | undefined;
  readonly topic: string;
  readonly value: Value;
  readonly key?: string | undefined;
  readonly headers?: RecordHeaders | undefined;
  /** Slots that passed while no leader was there. @default none */
  readonly catchUp?: "none" | "one" | "all" | undefined;
};

export class Schedules {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @returns when its next slot is, and whether it is new. */
  async put(
    name: string,
    definition: ScheduleDefinition,
    options: CallOptions = {},
  ): Promise<{ readonly created: boolean; readonly nextMs: number | null }> {
    const { cron, tz, topic, value, key, headers, catchUp } = definition;
    const record = recordJson(value, key, headers).slice(1);
    const others = JSON.stringify({ cron, tz, topic, catch_up: catchUp }).slice(0, -1);
    const request = { method: "PUT", path: pathOf(name), body: `${others},${record}` } as const;
    const answer = await this.#transport.json({ ...request, ...options, repeatable: true }, PUT);
    return { created: answer.created, nextMs: answer.next_ms };
  }

  /** Schedules by name, and then records that wait, page by page. */
  async list(
    options: CallOptions & {
      readonly topic?: string;
      readonly after?: string;
      readonly limit?: number;
    } = {},
  ): Promise<{ readonly schedules: readonly ScheduleEntry[]; readonly next: string | null }> {
    const { topic, after, limit, ...rest } = options;
    const request = { method: "GET", path: "/broker/schedules", ...rest } as const;
    const { schedules, next } = await this.#transport.json(
      { ...request, query: { topic, after, limit } },
      LIST,
    );
    return { schedules, next };
  }

  async get(name: string, options: CallOptions = {}): Promise<ScheduleEntry> {
    const request = { method: "GET", path: pathOf(name), ...options } as const;
    return (await this.#transport.json(request, ONE)) as ScheduleEntry;
  }

  /** @param name of a schedule, or the id of records that wait. */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json({ method: "DELETE", path: pathOf(name), ...options }, ACCEPTED);
  }
}

const pathOf = (name: string): string => `/broker/schedules/${segment(name)}`;
