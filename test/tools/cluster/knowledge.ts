/** Shared knowledge of the clients of a run: offsets and keys that are worth reading. */
import type { Produce } from "../history/operations.ts";
import type { Random } from "../random.ts";

export const TOPIC = "history";
export const PARTITIONS = 3;
export const GROUPS = ["g0", "g1"] as const;
export const CHAIN_NS = "chain";
export const MIXED_NS = "mixed";
export const TTL_NS = "ttl";

/** Keys that only compare-and-set touches: their history may be of any length. */
export const CHAIN_KEYS = 4;
/** A key with anything else is left after so many operations, or so many unknown outcomes. */
const MIXED_OPERATIONS_MAX = 150;
const MIXED_UNKNOWN_MAX = 3;

/** Idempotency keys that are asked for again much later, across restarts and snapshots. */
const KEYED_MAX = 500;

/** A write that was acknowledged under an idempotency key. */
export type Keyed = { readonly args: Produce["args"]; readonly payload: string };

export class Knowledge {
  readonly #keyed: Keyed[] = [];
  readonly #ends = new Array<number>(PARTITIONS).fill(0);
  readonly #floors = new Array<number>(PARTITIONS).fill(0);
  readonly #chain = new Map<string, number>();
  #mixed = { name: "k0", operations: 0, unknown: 0, revision: 0 };
  #sequence = 0;

  id(client: string): string {
    return `${client}-${this.#sequence++}`;
  }

  end(partition: number): number {
    return this.#ends[partition] ?? 0;
  }

  sawEnd(partition: number, end: number): void {
    this.#ends[partition] = Math.max(this.end(partition), end);
  }

  floor(partition: number): number {
    return this.#floors[partition] ?? 0;
  }

  sawFloor(partition: number, floor: number): void {
    this.#floors[partition] = Math.max(this.floor(partition), floor);
  }

  sawKeyed(keyed: Keyed, random: Random): void {
    if (this.#keyed.length < KEYED_MAX) this.#keyed.push(keyed);
    else this.#keyed[random.below(KEYED_MAX)] = keyed;
  }

  oldKeyed(random: Random): Keyed | null {
    return this.#keyed[random.below(Math.max(1, this.#keyed.length))] ?? null;
  }

  /** Last known revision of a chain. */
  revision(key: string): number {
    return this.#chain.get(key) ?? 0;
  }

  sawRevision(key: string, revision: number): void {
    if (key === this.#mixed.name) this.#mixed.revision = revision;
    else this.#chain.set(key, Math.max(this.revision(key), revision));
  }

  mixedKey(): { readonly name: string; readonly revision: number } {
    const key = this.#mixed;
    if (key.operations >= MIXED_OPERATIONS_MAX || key.unknown >= MIXED_UNKNOWN_MAX) {
      this.#mixed = { name: `k${this.#sequence++}`, operations: 0, unknown: 0, revision: 0 };
    }
    this.#mixed.operations++;
    return this.#mixed;
  }

  lostMixed(name: string): void {
    if (name === this.#mixed.name) this.#mixed.unknown++;
  }
}
