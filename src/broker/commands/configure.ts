import type { CommandKind } from "../../lib/command-kind.ts";
import type { BrokerState, HasBroker } from "../state.ts";

/** Sets the limits that apply depends on, so that all nodes have the same ones. */
export type Configure = {
  readonly type: "configure";
  readonly dedupeWindowMs: number;
  readonly dedupeKeysMax: number;
  readonly partitionsMax: number;
};

export type ConfigureResult = { readonly ok: true; readonly type: "configure" };

/** Lower limits remove only the oldest idempotency keys; existing topics and groups stay. */
export function applyConfigure(state: BrokerState, command: Configure): ConfigureResult {
  const { dedupeWindowMs, dedupeKeysMax, partitionsMax } = command;
  if (dedupeKeysMax < state.limits.dedupeKeysMax) state.isOverfull = state.dedupeKeys > 0;
  state.limits = { dedupeWindowMs, dedupeKeysMax, partitionsMax };
  return { ok: true, type: "configure" };
}

export const configure: CommandKind<Configure, ConfigureResult, HasBroker> = {
  type: "configure",
  tag: 8,
  summaryId: 11,
  encode(body, { dedupeWindowMs, dedupeKeysMax, partitionsMax }) {
    body.varint(dedupeWindowMs);
    body.varint(dedupeKeysMax);
    body.varint(partitionsMax);
  },
  decode: (body) => ({
    type: "configure",
    dedupeWindowMs: body.varint(),
    dedupeKeysMax: body.varint(),
    partitionsMax: body.varint(),
  }),
  apply: ({ broker }, command) => applyConfigure(broker, command),
};
