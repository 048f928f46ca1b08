/** Links to the leader if this node cannot execute a write. */
import { ApiFailure, NOT_LEADER } from "../api.ts";
import { leaderConsole } from "../node-state.ts";
import { h } from "./dom.ts";

/** A link to the leader's console; null for other errors, or without a leader. */
export async function leaderHint(error: unknown): Promise<HTMLElement | null> {
  if (!(error instanceof ApiFailure) || error.code !== NOT_LEADER) return null;
  const leader = await leaderConsole();
  if (leader === null) return null;
  return h(
    "a",
    { href: leader.url, class: "leader" },
    `Open the console of ${leader.id}, the leader`,
  );
}
