import { BrokerState } from "../broker/state.ts";
import { KvState } from "../kv/state.ts";
import type { Millis } from "../lib/ids.ts";
import type { MemberMap } from "./members.ts";

/** All that is replicated. */
export type MachineState = {
  readonly broker: BrokerState;
  readonly kv: KvState;
  readonly members: MemberMap;
  readonly now: Millis;
};

export const emptyState = (): MachineState => ({
  broker: new BrokerState(),
  kv: new KvState(),
  members: new Map(),
  now: 0 as Millis,
});
