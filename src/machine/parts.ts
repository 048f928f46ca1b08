/** All parts of the state that describe themselves. A new one gets a row here. */
import { assert } from "../lib/assert.ts";
import type { StatePart } from "../lib/state-part.ts";
import { queuesPart } from "../queue/snapshot.ts";

export const PARTS = { queues: queuesPart } satisfies Readonly<Record<string, StatePart<object>>>;

type StateOf<P> = P extends StatePart<infer S> ? S : never;
export type PartStates = { readonly [Name in keyof typeof PARTS]: StateOf<(typeof PARTS)[Name]> };

/** A part and its name, for loops over all parts. */
export type NamedPart = readonly [name: string, part: StatePart<unknown>];
/** States by name, for loops over all parts. */
export type StatesByName = Readonly<Record<string, unknown>>;

export const namedParts: readonly NamedPart[] = Object.entries<StatePart<unknown>>(PARTS);

const tags = namedParts.flatMap(([, part]) => part.tags);
assert(new Set(tags).size === tags.length, "each part has its own sections");

export const emptyParts = (): PartStates =>
  Object.fromEntries(namedParts.map(([name, part]) => [name, part.empty()])) as PartStates;
