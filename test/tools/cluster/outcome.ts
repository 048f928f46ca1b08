/** From an answer to what is known: done, certainly not done, or unknown. */
import type { Outcome } from "../history/operations.ts";
import type { Reply } from "./http-reply.ts";

/** The contract says of these: nothing was done. All else that is not a success is unknown. */
const NOTHING_DONE_503 = [
  "not_leader",
  "no_leader",
  "no_quorum",
  "overloaded",
  "shutting_down",
  "data_damaged",
];
const REFUSALS = [400, 401, 403, 404, 405, 409, 413, 415, 429];

export type Body = Readonly<Record<string, unknown>>;

export function outcomeOf({ status }: Reply, body: Body): Outcome {
  if (status === 200 || status === 201) return "ok";
  if (REFUSALS.includes(status) && typeof body["error"] === "string") return "fail";
  if (status === 503 && NOTHING_DONE_503.includes(String(body["error"]))) return "fail";
  if (status === 507 && body["error"] === "disk_full") return "fail";
  return "unknown";
}

/** Null if the body is not a JSON object. */
export function bodyOf({ body }: Reply): Body | null {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Body) : null;
  } catch {
    return null;
  }
}
