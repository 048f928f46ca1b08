import { MEMBERS_MAX } from "../../groups/state.ts";
import { memoryOf } from "../../kv/state.ts";
import { DUE_SOURCES, nextDueAt } from "../../machine/due.ts";
import type { Machine } from "../../machine/machine.ts";
import type { NodeOptions } from "../options.ts";

export type MeasuredState = Pick<
  NodeOptions,
  | "instruments"
  | "limits"
  | "producersMax"
  | "groupsMax"
  | "offsetsMax"
  | "dedupeKeysTotal"
  | "kvLimits"
  | "durableLimits"
  | "webhookLimits"
> & { readonly machine: Machine };

/** Sets the metrics of the sizes of the replicated state, and of their limits. */
export function measureState(state: MeasuredState): void {
  const { machine, instruments, limits, kvLimits } = state;
  const { broker, kv, parts } = machine;
  instruments.partitions.value = broker.partitionCount;
  instruments.partitionsMax.value = limits.partitionsMax;
  instruments.groups.value = broker.groups.size;
  instruments.groupsMax.value = state.groupsMax;
  instruments.groupMembers.value = parts.groups.memberCount;
  instruments.groupMembersMax.value = MEMBERS_MAX;
  measureDue(machine, instruments);
  instruments.committedOffsets.value = broker.committedOffsets;
  instruments.offsetsMax.value = state.offsetsMax;
  instruments.namespaces.value = kv.namespaces.size;
  instruments.namespacesMax.value = boundOf(kvLimits?.namespacesMax);
  instruments.kvBytes.value = memoryOf(kv);
  instruments.kvBytesMax.value = boundOf(kvLimits?.bytesMax);
  instruments.dedupeKeys.value = broker.dedupeKeys;
  instruments.dedupeKeysTotal.value = state.dedupeKeysTotal;
  instruments.dedupeKeysMax.value = broker.limits.dedupeKeysMax;
  instruments.keysForgottenEarly.value = broker.dedupeKeysCut;
  instruments.producers.value = parts.producers.size;
  instruments.producersMax.value = state.producersMax;
  instruments.streams.value = parts.durable.byId.size;
  instruments.streamsMax.value = boundOf(state.durableLimits?.streamsMax);
  instruments.subscriptions.value = parts.durable.subscriptions.size;
  instruments.subscriptionsMax.value = boundOf(state.durableLimits?.subscriptionsMax);
  instruments.webhooks.value = parts.webhooks.byName.size;
  instruments.webhooksMax.value = boundOf(state.webhookLimits?.webhooksMax);
  instruments.producersForgottenEarly.value = parts.producers.droppedEarly;
}

function measureDue(machine: Machine, instruments: NodeOptions["instruments"]): void {
  instruments.dueThings.value = DUE_SOURCES.reduce((sum, { size }) => sum + size(machine), 0);
  const nextAt = nextDueAt(machine);
  const inMs = Number.isFinite(nextAt) ? nextAt - machine.now : 0;
  instruments.dueNextSeconds.value = Math.max(0, inMs) / 1000;
  instruments.dueLatenessSeconds.value = Math.max(0, -inMs) / 1000;
}

/** The metric of a limit that is not set is 0. */
const boundOf = (limit = 0): number => (Number.isFinite(limit) ? limit : 0);
