import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import type { NodeId } from "../../lib/ids.ts";
import type { Logger } from "../../metrics/log.ts";
import { EMPTY_CONFIGURATION } from "../../raft/membership.ts";
import type { Configuration } from "../../raft/types.ts";
import type { Meeting } from "../../transport/transport.ts";
import type { ClusterOptions } from "./cluster.ts";

const LOOK_EVERY_MS = 50;
/** Minimum wait for members beyond a majority. Peers dial every two seconds. */
const PATIENCE_MS_MIN = 5_000;
const PATIENCE_ELECTION_TIMEOUTS = 10;
/** Extra wait per position in the settings, so that the first named of several nodes bootstraps. */
const TURN_MS = 500;

export type BootstrapOptions = {
  readonly self: NodeId;
  /** The nodes that the settings name, including this one. */
  readonly members: readonly NodeId[];
  readonly electionTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly isUp: (id: NodeId) => boolean;
  /** True if this disk was never used and does not belong to a cluster yet. */
  readonly isBlank: () => boolean;
  /** @param disks the storage ids of the empty disks of the other nodes. */
  readonly bootstrap: (disks: ReadonlyMap<NodeId, string>) => void;
};

/** The voters if a node bootstraps a cluster alone at its first start, otherwise null. */
export const soleMemberOf = ({ bootstraps, members }: ClusterOptions): Configuration | null =>
  bootstraps && members.length === 1 ? initialConfiguration(members) : null;

export const initialConfiguration = (
  members: readonly { readonly id: NodeId }[],
): Configuration => ({
  ...EMPTY_CONFIGURATION,
  voters: members.map(({ id }) => id).sort(),
});

/**
 * Decides when a node bootstraps a cluster. An empty disk looks the same at the first start and after
 * a loss, so no node bootstraps alone. It needs empty disks on a majority of the nodes in the
 * settings. It waits a limited time for the others, because one of them may know a cluster. In that
 * case the node joins that cluster, which accepts it once it was added again.
 */
export class Bootstrap {
  readonly #options: BootstrapOptions;
  /** Disks that did not belong to a cluster at the last handshake. */
  readonly #blank = new Map<NodeId, string>();
  readonly #startedUs: number;
  #majoritySinceUs: number | null = null;
  #told = false;
  #cancel: () => void = () => {};

  constructor(options: BootstrapOptions) {
    this.#options = options;
    this.#startedUs = options.clock.monotonic();
    this.#later();
  }

  met({ peer, clusterId, storageId }: Meeting): void {
    if (clusterId === null) this.#blank.set(peer, storageId);
    else this.#blank.delete(peer);
  }

  stop(): void {
    this.#cancel();
  }

  #later(): void {
    this.#cancel = this.#options.clock.after(LOOK_EVERY_MS, () => this.#look());
  }

  #look(): void {
    const { members, isBlank, log, bootstrap } = this.#options;
    if (!isBlank()) {
      log.warn("RF_HA_BOOTSTRAP_LEADER ignored, joining the existing cluster");
      return;
    }
    const disks = this.#disksThere();
    if (this.#isTime(disks.size + 1)) {
      if (disks.size + 1 < members.length) {
        log.warn("bootstrapping without some of the members", { there: disks.size + 1 });
      }
      bootstrap(disks);
    } else this.#later();
  }

  #disksThere(): Map<NodeId, string> {
    const { members, isUp } = this.#options;
    return new Map([...this.#blank].filter(([id]) => members.includes(id) && isUp(id)));
  }

  #isTime(there: number): boolean {
    const { self, members, clock, electionTimeoutMs, log } = this.#options;
    const nowUs = clock.monotonic();
    const needed = faultPoint("bootstrap-without-majority")
      ? 1
      : Math.floor(members.length / 2) + 1;
    if (there < needed) {
      this.#majoritySinceUs = null;
      if (!this.#told)
        log.info("waiting for a majority of members to bootstrap the cluster", { there });
      this.#told = true;
      return false;
    }
    this.#majoritySinceUs ??= nowUs;
    if (nowUs - this.#startedUs < members.indexOf(self) * TURN_MS * 1000) return false;
    if (there === members.length || faultPoint("bootstrap-on-wiped-disk")) return true;
    const patienceMs = Math.max(PATIENCE_MS_MIN, PATIENCE_ELECTION_TIMEOUTS * electionTimeoutMs);
    return nowUs - this.#majoritySinceUs >= patienceMs * 1000;
  }
}
