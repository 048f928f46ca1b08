/** All parts of the replicated state, in the order of a snapshot. A new part gets a row at the end. */
import { producersPart } from "../broker/producers-part.ts";
import type { BrokerHeader } from "../broker/restorer.ts";
import { brokerPart } from "../broker/state-part.ts";
import { durablePart } from "../durable/part.ts";
import { exportsPart } from "../export/part.ts";
import { groupsPart } from "../groups/part.ts";
import { type KvHeader, kvPart } from "../kv/state-part.ts";
import { laterPart } from "../later/part.ts";
import { assert } from "../lib/assert.ts";
import type { StatePart } from "../lib/state-part.ts";
import { queuesPart } from "../queue/snapshot.ts";
import { webhooksPart } from "../webhook/part.ts";
import { membersPart } from "./members-part.ts";
import { viewsPart } from "./views-part.ts";

/** Fields of `MachineState`. */
const FIRST_PARTS = { members: membersPart, views: viewsPart, broker: brokerPart, kv: kvPart };
/** Fields of `MachineState.parts`: parts that came later. */
export const PARTS = {
  queues: queuesPart,
  groups: groupsPart,
  durable: durablePart,
  producers: producersPart,
  later: laterPart,
  webhooks: webhooksPart,
  exports: exportsPart,
};

type StateOf<P> = P extends StatePart<infer S, infer _H> ? S : never;
type StatesOf<Table> = { readonly [Name in keyof Table]: StateOf<Table[Name]> };
export type PartStates = StatesOf<typeof PARTS>;
export type AllStates = StatesOf<typeof FIRST_PARTS> & { readonly parts: PartStates };

/** A part and its name, for loops over all parts. */
export type NamedPart = readonly [name: string, part: StatePart<unknown, RestoreHeader>];
/** Fields of the header of a snapshot that parts need. */
export type RestoreHeader = BrokerHeader & KvHeader;

const later = Object.entries(PARTS);
// Each part is only ever given its own state.
export const namedParts = [
  ...Object.entries(FIRST_PARTS),
  ...later,
] as unknown as readonly NamedPart[];

const tags = namedParts.flatMap(([, part]) => part.tags);
assert(new Set(tags).size === tags.length, "each part has its own sections");

/** The state of the part with this name. */
export function stateOf(state: AllStates, name: string): unknown {
  const first: Readonly<Record<string, unknown>> = state;
  const parts: Readonly<Record<string, unknown>> = state.parts;
  return name in FIRST_PARTS ? first[name] : parts[name];
}

/** @param states of all parts by name. */
export function statesFrom(states: Readonly<Record<string, unknown>>): AllStates {
  const first = Object.keys(FIRST_PARTS).map((name) => [name, states[name]]);
  const parts = Object.fromEntries(later.map(([name]) => [name, states[name]]));
  return { ...Object.fromEntries(first), parts } as AllStates;
}

export const emptyStates = (): AllStates =>
  statesFrom(Object.fromEntries(namedParts.map(([name, part]) => [name, part.empty()])));
