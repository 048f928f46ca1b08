import { BrokerState } from "../broker/state.ts";
import { KvState } from "../kv/state.ts";
import type { Millis } from "../lib/ids.ts";
import { LEVEL_FIRST } from "./levels.ts";
import type { MemberMap } from "./members.ts";
import { emptyParts, type PartStates } from "./parts.ts";
import { ViewsState } from "./views.ts";

/** The replicated state. */
export type MachineState = {
  readonly broker: BrokerState;
  readonly kv: KvState;
  readonly members: MemberMap;
  readonly views: ViewsState;
  /** The parts of `parts.ts`. */
  readonly parts: PartStates;
  /** Level of the log: see `levels.ts`. */
  level: number;
  now: Millis;
};

export const emptyState = (): MachineState => ({
  broker: new BrokerState(),
  kv: new KvState(),
  members: new Map(),
  views: new ViewsState(),
  parts: emptyParts(),
  level: LEVEL_FIRST,
  now: 0 as Millis,
});
