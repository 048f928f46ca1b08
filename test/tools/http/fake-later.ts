import type { LaterApi } from "../../../src/node/api.ts";

const NOT_FOUND = { ok: false, code: "schedule_not_found" } as const;
const FULL = { ok: false, code: "too_many_schedules" } as const;

/** A node without any schedule. */
export class FakeLater implements LaterApi {
  schedule = async () => FULL;
  deleteScheduled = async () => NOT_FOUND;
  listScheduled = () => [];
  findScheduled = () => null;
  putCron = async () => FULL;
  deleteCron = async () => NOT_FOUND;
  listCrons = () => [];
}
