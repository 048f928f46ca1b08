import type { Clock } from "../env/clock.ts";
import type { Machine } from "../machine/machine.ts";
import type { DurableApi, GroupsApi, LaterApi, QueueApi } from "./api.ts";
import {
  durableThroughLeader,
  groupsThroughLeader,
  laterThroughLeader,
  queuesThroughLeader,
  type Route,
} from "./forward/facades.ts";
import { GivenRecords } from "./groups/given-records.ts";
import type { Applied } from "./groups/sessions.ts";
import { LeasedRecords } from "./queues/leased-records.ts";
import { AppliedWaits } from "./reads/applied-waits.ts";

export type ThroughLeaderOptions = {
  readonly machine: Machine;
  readonly core: Applied;
  readonly clock: Pick<Clock, "after">;
  readonly route: Route;
  /** How long this node may take to apply the records that the leader has given out. */
  readonly timeoutMs: number;
  readonly queues: QueueApi;
  readonly groups: GroupsApi;
  readonly later: LaterApi;
  readonly durable: DurableApi;
};

/** Parts of this node whose writes are executed by the leader, and that read this node's own log. */
export class ThroughLeader {
  readonly queues: QueueApi;
  readonly groups: GroupsApi;
  readonly later: LaterApi;
  readonly durable: DurableApi;
  readonly #waits: AppliedWaits;

  constructor({ machine, core, clock, route, timeoutMs, ...parts }: ThroughLeaderOptions) {
    const waits = new AppliedWaits(clock);
    const given = { machine, core, calls: route.calls, waits, timeoutMs };
    const { receive } = new LeasedRecords(given);
    const { readMember } = new GivenRecords(given);
    const completed = { receive, readMember };
    this.#waits = waits;
    this.queues = queuesThroughLeader(parts.queues, route, completed);
    this.groups = groupsThroughLeader(parts.groups, route, completed);
    this.later = laterThroughLeader(parts.later, route);
    this.durable = durableThroughLeader(parts.durable, route);
  }

  /** Called at most once per event-loop iteration, after the machine has applied entries. */
  applied(): void {
    this.#waits.applied();
  }

  stop(): void {
    this.#waits.stop();
  }
}
