import type { LaterApi, Result, Scheduled } from "../../../src/node/api.ts";
import type { ScheduleReject } from "../../../src/node/later-api.ts";

const NOT_FOUND = { ok: false, code: "schedule_not_found" } as const;
const FULL = { ok: false, code: "too_many_schedules" } as const;

/** A node without any schedule. */
export class FakeLater implements LaterApi {
  /** The answer to every delayed produce. */
  scheduled: Result<Scheduled, ScheduleReject> = FULL;
  schedule = async () => this.scheduled;
  deleteScheduled = async () => NOT_FOUND;
  listScheduled = () => [];
  findScheduled = () => null;
  putCron = async () => FULL;
  deleteCron = async () => NOT_FOUND;
  listCrons = () => [];
}
