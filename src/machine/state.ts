import { BrokerState } from "../broker/state.ts";
import { KvState } from "../kv/state.ts";
import type { Millis } from "../lib/ids.ts";

/** All that is replicated. */
export type MachineState = {
  readonly broker: BrokerState;
  readonly kv: KvState;
  readonly now: Millis;
};

export const emptyState = (): MachineState => ({
  broker: new BrokerState(),
  kv: new KvState(),
  now: 0 as Millis,
});
