import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import { DiskFailure, DiskFull } from "../../env/disk.ts";
import { untilRoom } from "../../env/until-room.ts";
import { assert } from "../../lib/assert.ts";
import type { MachineState } from "../../machine/state.ts";
import type { Logger } from "../../metrics/log.ts";
import { decodeMessage } from "../../raft/codec.ts";
import type { LogIndex, SnapshotMeta, SnapshotOffer, Term } from "../../raft/types.ts";
import type { CommittedSnapshot } from "../../storage/checkpoints/store.ts";
import { SnapshotDamaged } from "../../storage/snapshots/check.ts";
import type { SnapshotInstall } from "../../storage/snapshots/install.ts";
import {
  type SnapshotAnnouncement,
  type SnapshotSink,
  SnapshotUnfit,
} from "../../transport/snapshot-types.ts";
import type { Emit } from "../events.ts";
import type { Checkpointer } from "../maintenance/checkpointer.ts";
import { type FirstCheckpoint, writeFirst } from "../recovery/first-checkpoint.ts";
import { restoreState } from "../recovery/machine-state.ts";
import type { Storage } from "../recovery/storage.ts";
import type { Applier } from "../writes/applier.ts";
import type { SnapshotPort } from "./snapshot-port.ts";

const REMOVE_RETRY_MS = 10_000;

export type SnapshotsOptions = {
  readonly storage: Storage;
  readonly core: { readonly term: Term };
  readonly log: Logger;
  readonly clock: Clock;
  readonly checkpointer: Pick<Checkpointer, "without">;
  readonly applier: Pick<Applier, "switched">;
  /** Resolves when a step that found no space should be retried. */
  readonly disk: { roomNeeded(): Promise<void> };
  readonly emit: Emit;
};

/** A snapshot that was received and verified and is not installed yet. */
type WholeSnapshot = {
  readonly install: Pick<SnapshotInstall, "commit" | "abort">;
  /** Decoded before anything is replaced, so that an unreadable snapshot is not installed. */
  readonly state: MachineState;
};
type Received = WholeSnapshot & {
  readonly done: (ok: boolean) => void;
  /** The core has accepted it, and `install` follows. */
  isTaken: boolean;
};

export type FirstSnapshot = FirstCheckpoint & {
  /** Passes the snapshot to the core, which accepts it immediately. */
  readonly take: (snapshot: SnapshotMeta) => void;
  /** Called when the snapshot is durable, before the core acts on it. */
  readonly durable: () => Promise<void>;
};

/** Reads checkpoints for peers that lag too far behind, and installs theirs on this node. */
export class Snapshots implements SnapshotPort {
  readonly #options: SnapshotsOptions;
  /** A complete and verified snapshot, until the core has accepted or refused it. */
  #received: Received | null = null;
  #stopped = false;
  #isWaiting = false;

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  /** True while the switch to a snapshot waits for space on the disk. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** True if the last start had no space to finish an installation. */
  get isUnfinished(): boolean {
    return this.#options.storage.checkpoints.isInstalling;
  }

  finish(): Promise<void> {
    return this.#options.storage.checkpoints.finishInstall();
  }

  /** Gives up a switch that waits for space. The next start finishes it. */
  stop(): void {
    this.#stopped = true;
  }

  sink(offer: (offer: SnapshotOffer) => void, committed: () => number): SnapshotSink {
    return new InstallSink({
      fault: (error) => this.#options.emit({ type: "failed", error }),
      install: this.#options.storage.newInstall,
      committed,
      decline: offer,
      offer: (message, whole) => this.#offer(message, whole, offer),
    });
  }

  /** Writes the first checkpoint of a cluster as if it had been received from another node. */
  async bootstrap(first: FirstSnapshot): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const install = { commit: () => this.#writeFirst(first), abort: () => Promise.resolve() };
    this.#received = { install, state: first.machine, done: resolve, isTaken: false };
    first.take({ index: 1 as LogIndex, term: 1 as Term, configuration: first.configuration });
    await promise;
  }

  async #writeFirst(first: FirstSnapshot): Promise<CommittedSnapshot> {
    const { checkpoints, journal, hardStateFile } = this.#options.storage;
    const hardState = hardStateFile.state;
    const blank = { checkpoints, journal, hardState };
    const isWritten = await untilRoom(this.#options.clock, () => writeFirst(blank, first));
    assert(isWritten, "a cluster is bootstrapped on an empty disk");
    await first.durable();
    return { index: 1, root: 0, state: "install", term: 1 };
  }

  /**
   * Installs the snapshot that the core has accepted. A full disk does not end it: each step waits
   * for space, because the core cannot go back.
   *
   * @throws DiskFull if the node stops while a step waits.
   */
  async install(snapshot: SnapshotMeta): Promise<void> {
    const received = this.#received;
    assert(received !== null, "only a snapshot that was received is installed");
    this.#received = null;
    try {
      await this.#options.checkpointer.without(() => this.#install(received, snapshot));
    } catch (error) {
      // Otherwise the transport would wait for the end of the transfer for ever.
      if (error instanceof DiskFull) received.done(false);
      throw error;
    }
    received.done(true);
  }

  async #install(received: Received, snapshot: SnapshotMeta): Promise<void> {
    const { storage, log, applier } = this.#options;
    const name = await this.#untilRoom(() => received.install.commit());
    assert(name.index === snapshot.index, "the core accepted this snapshot and no other");
    const store = storage.newStore();
    await (await storage.checkpoints.adopt(name, store)).close();
    await this.#untilRoom(() => storage.checkpoints.settle(storage.journal));
    // Synchronous, so that no reader sees one without the other.
    const former = storage.generation.replace(received.state, store);
    applier.switched();
    await former.close();
    await this.#removeStale();
    log.info("snapshot installed", { index: snapshot.index, term: snapshot.term });
  }

  async #untilRoom<T>(step: () => Promise<T>): Promise<T> {
    try {
      for (;;) {
        try {
          return await step();
        } catch (error) {
          if (!(error instanceof DiskFull) || this.#stopped) throw error;
          this.#isWaiting = true;
          await this.#options.disk.roomNeeded();
          if (this.#stopped) throw error;
        }
      }
    } finally {
      this.#isWaiting = false;
    }
  }

  /** Some file systems need space to remove a file, so this is repeated until it succeeds. */
  async #removeStale(): Promise<void> {
    const { storage, log, clock, emit } = this.#options;
    try {
      await storage.checkpoints.removeStale();
    } catch (error) {
      if (!(error instanceof DiskFull)) throw error;
      log.warn("not enough disk space to remove replaced data", { error: error.message });
      clock.after(REMOVE_RETRY_MS, () => {
        if (this.#stopped) return;
        this.#removeStale().catch((failure: unknown) => emit({ type: "failed", error: failure }));
      });
    }
  }

  /** Resolves when the core has installed the snapshot or does not want it. */
  async #offer(
    message: SnapshotOffer,
    whole: WholeSnapshot,
    offer: (offer: SnapshotOffer) => void,
  ): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const received: Received = { ...whole, done: resolve, isTaken: false };
    this.#received = received;
    offer(message);
    // The core accepts it synchronously or not at all: it may be older than the local state.
    if (received.isTaken) return await promise;
    this.#received = null;
    await whole.install.abort();
    return false;
  }

  /** Deletes the remainder of interrupted transfers and installations of an earlier process. */
  async cleanUp(): Promise<void> {
    const { storage, log } = this.#options;
    try {
      await storage.newInstall().abort();
    } catch (error) {
      if (!(error instanceof DiskFull)) throw error;
      log.warn("not enough disk space to remove a partial snapshot", { error: error.message });
    }
    await this.#removeStale();
  }

  /** Called when the core has accepted the snapshot that was offered. */
  accepted(): void {
    assert(this.#received !== null, "a snapshot is offered before it is accepted");
    this.#received.isTaken = true;
  }
}

type InstallSinkOptions = {
  readonly fault: (error: unknown) => void;
  readonly install: () => SnapshotInstall;
  readonly committed: () => number;
  /** True if the offer is older than the local state. */
  readonly decline: (message: SnapshotOffer) => void;
  readonly offer: (message: SnapshotOffer, whole: WholeSnapshot) => Promise<boolean>;
};

/** Receives a snapshot that another node sends. The transport writes to it. */
class InstallSink implements SnapshotSink {
  readonly #options: InstallSinkOptions;
  #install: SnapshotInstall | null = null;
  #message: SnapshotOffer | null = null;

  constructor(options: InstallSinkOptions) {
    this.#options = options;
  }

  async begin(announcement: SnapshotAnnouncement): Promise<void> {
    const message = decodeMessage(announcement.meta);
    if (message.type !== "snapshot_offer") throw new Error("the snapshot comes without its offer");
    const { index, term } = message.snapshot;
    if (index <= this.#options.committed()) {
      // The core reports this node's progress, so that the leader does not offer it again.
      if (!faultPoint("old-snapshot-not-answered")) this.#options.decline(message);
      throw new Error("this node has all that is in it");
    }
    this.#message = message;
    const install = this.#options.install();
    this.#install = install;
    const { files } = announcement;
    await this.#onDisk(() => install.begin({ index, term, files }, { fresh: true }));
  }

  async write(file: number, position: number, bytes: Uint8Array): Promise<void> {
    await this.#onDisk(() => this.#current().write(file, position, bytes));
  }

  async fileDone(file: number): Promise<void> {
    await this.#onDisk(() => this.#current().fileDone(file));
  }

  async complete(): Promise<void> {
    const install = this.#current();
    assert(this.#message !== null, "a snapshot begins with its offer");
    const verified = await this.#onDisk(() => install.finish());
    const state = await this.#onDisk(async () => restoreState(await verified.open()));
    this.#install = null;
    if (!(await this.#options.offer(this.#message, { install, state }))) {
      throw new Error("the snapshot is not wanted any more");
    }
  }

  async abort(): Promise<void> {
    const install = this.#install;
    this.#install = null;
    await install?.abort();
  }

  /** A damaged snapshot ends its transfer. A failed disk ends the process. */
  async #onDisk<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DiskFailure && !(error instanceof DiskFull)) this.#options.fault(error);
      if (error instanceof SnapshotDamaged)
        throw new SnapshotUnfit(error.message, { cause: error });
      throw error;
    }
  }

  #current(): SnapshotInstall {
    assert(this.#install !== null, "a snapshot is being received");
    return this.#install;
  }
}
