import type { PartitionDamaged } from "../../storage/partitions/damaged.ts";

/** Handlers that the storage calls on the node that uses it. */
export interface StorageUser {
  /** A write failed for lack of space. */
  diskBlocked(): void;
  /** @returns whether the damaged records were repaired. */
  repair(damage: PartitionDamaged): Promise<boolean>;
  /** Whether small partitions may share files. */
  mayShare(): boolean;
  /** The disk failed: the process must end. */
  failed(error: unknown): void;
}

/**
 * The storage is opened before the node that uses it exists. Until the node is connected, a failure
 * goes to `failed` and damage is not repaired.
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

  readonly mayShare = (): boolean => this.#user?.mayShare() ?? false;

  readonly repair = (damage: PartitionDamaged): Promise<boolean> =>
    this.#user?.repair(damage) ?? Promise.resolve(false);

  readonly onFailure = (error: unknown): void => {
    if (this.#user === null) this.#failed(error);
    else this.#user.failed(error);
  };
}
