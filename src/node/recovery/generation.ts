import type { Machine } from "../../machine/machine.ts";
import type { MachineState } from "../../machine/state.ts";
import type { PartitionStore } from "../../storage/partitions/store.ts";

/**
 * The replicated state and the partition logs that belong to it. A snapshot from the leader replaces
 * both at once, so that no reader sees one without the other.
 */
export class Generation {
  readonly machine: Machine;
  #store: PartitionStore;

  constructor(machine: Machine, store: PartitionStore) {
    this.machine = machine;
    this.#store = store;
  }

  /** The partition logs. Do not keep the reference across an event-loop iteration. */
  get store(): PartitionStore {
    return this.#store;
  }

  /** @returns the former partition logs. The caller closes them. */
  replace(state: MachineState, store: PartitionStore): PartitionStore {
    const former = this.#store;
    this.#store = store;
    this.machine.replace(state);
    return former;
  }
}
