import type { RecordWait, StreamWait } from "../api.ts";
import { RecordWaits, type WaitClock } from "../reads/record-waits.ts";

/** How long one wait of the node takes. Another one follows while somebody waits. */
const NODE_WAIT_MS = 60_000;

type Limits = Pick<RecordWait, "timeoutMs" | "signal">;
/** A wait of the node, which ends soon after its time at the latest. */
type NodeWait<W extends Limits> = (wait: W) => Promise<void>;

type Group = {
  readonly waits: RecordWaits;
  readonly abort: AbortController;
  failure: unknown;
};

/**
 * Waits for the same event, such as the next record of a partition. The callers of this thread share
 * one wait of the node, so that an event crosses the port once. Deadlines and aborts stay here.
 */
export class SharedWaits {
  readonly #clock: WaitClock;
  readonly #groups = new Map<string, Group>();

  constructor(clock: WaitClock) {
    this.#clock = clock;
  }

  /** Resolves when there may be a record at the offset, soon after its time, or when it is aborted. */
  records(wait: RecordWait, ofNode: NodeWait<RecordWait>): Promise<void> {
    const { topicId, partition, offset, topic } = wait;
    return this.#wait(`${topicId} ${partition} ${offset} ${topic}`, wait, ofNode);
  }

  stream(wait: StreamWait, ofNode: NodeWait<StreamWait>): Promise<void> {
    return this.#wait(`${wait.streamId} ${wait.offset}`, wait, ofNode);
  }

  /** @param key names the event that is waited for. */
  async #wait<W extends Limits>(key: string, wait: W, ofNode: NodeWait<W>): Promise<void> {
    const { timeoutMs, signal } = wait;
    if (signal.aborted) return;
    const group = this.#groups.get(key) ?? this.#open(key, wait, ofNode);
    await group.waits.wait(0, timeoutMs, signal);
    if (group.waits.size === 0 && this.#remove(key, group)) group.abort.abort();
    if (group.failure !== null) throw group.failure;
  }

  #open<W extends Limits>(key: string, wait: W, ofNode: NodeWait<W>): Group {
    const group: Group = {
      waits: new RecordWaits(this.#clock),
      abort: new AbortController(),
      failure: null,
    };
    this.#groups.set(key, group);
    const { signal } = group.abort;
    void this.#watch(key, group, () => ofNode({ ...wait, timeoutMs: NODE_WAIT_MS, signal }));
    return group;
  }

  async #watch(key: string, group: Group, waitAtNode: () => Promise<void>): Promise<void> {
    try {
      for (let isOver = false; !isOver; ) {
        const begunUs = this.#clock.monotonic();
        await waitAtNode();
        // After its full time there may still be nobody to wake.
        const passedUs = this.#clock.monotonic() - begunUs;
        isOver = group.abort.signal.aborted || passedUs < NODE_WAIT_MS * 1000;
      }
    } catch (error) {
      group.failure = error;
    }
    this.#remove(key, group);
    group.waits.wakeAll();
  }

  /** @returns false if the event has happened, or a later group has the key. */
  #remove(key: string, group: Group): boolean {
    return this.#groups.get(key) === group && this.#groups.delete(key);
  }
}
