import type { PartitionDamaged } from "../../storage/partitions/damaged.ts";

/** What the storage asks of the node that uses it. */
export interface StorageUser {
  /** A write found no room. */
  diskBlocked(): void;
  /** @returns whether the damaged records were brought back. */
  repair(damage: PartitionDamaged): Promise<boolean>;
  /** The disk failed: the process must end. */
  failed(error: unknown): void;
}

/**
 * The storage is opened before the node that uses it exists. Until that is connected, a failure goes
 * to `failed`, and damage is not repaired.
 */
export class StorageEvents {
  readonly #failed: (error: unknown) => void;
  #user: StorageUser | null = null;

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  connect(user: StorageUser): void {
    this.#user = user;
  }

  readonly onSpace = (blocked: boolean): void => {
    if (blocked) this.#user?.diskBlocked();
  };

  readonly repair = (damage: PartitionDamaged): Promise<boolean> =>
    this.#user?.repair(damage) ?? Promise.resolve(false);

  readonly onFailure = (error: unknown): void => {
    if (this.#user === null) this.#failed(error);
    else this.#user.failed(error);
  };
}
