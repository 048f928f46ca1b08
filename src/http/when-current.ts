import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { NodeApi, NodeHealth } from "../node/api.ts";
import { ApiError } from "./errors.ts";

/**
 * Waits until this node knows what was committed before the call, unless it leads. Permissions that
 * depend on the state are decided after that.
 *
 * @throws ApiError `no_leader` or `no_quorum`.
 */
export function whenCurrent(node: NodeApi): MaybePromise<void> {
  const unlessLeader = ({ role }: NodeHealth): MaybePromise<void> =>
    role === "leader" ? undefined : catchUp(node);
  const health = node.health();
  return health instanceof Promise ? health.then(unlessLeader) : unlessLeader(health);
}

/** True if this node leads and is asked without a promise. */
export function leadsNow(node: NodeApi): boolean {
  const health = node.health();
  return !(health instanceof Promise) && health.role === "leader";
}

async function catchUp(node: NodeApi): Promise<void> {
  const behind = await node.catchUp();
  if (behind !== null) throw new ApiError(behind.code, behind.message);
}
