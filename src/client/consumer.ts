/** Reads the messages of one partition or of all partitions of a topic. */
import type { Log } from "./log.ts";
import type { CallOptions } from "./transport.ts";
import type { Page, ReadOptions, TopicDescription } from "./types.ts";
import type { Message } from "./values.ts";

export type ConsumeOptions = {
  /** The group whose committed offsets are the start, and for which `commit()` commits. */
  readonly group?: string | undefined;
  /** @default all partitions of the topic */
  readonly partition?: number | undefined;
  /** An offset, a time, or a start position. @default `committed` with a group, else `earliest` */
  readonly from?:
    | number
    | { readonly timeMs: number }
    | "earliest"
    | "latest"
    | "committed"
    | undefined;
  /** Wait for new messages. Otherwise a partition ends at the end that it had on the first read. */
  readonly follow?: boolean | undefined;
  /** Messages per request. @default 1000 */
  readonly limit?: number | undefined;
  readonly linearizable?: boolean | undefined;
  /** Ends the iteration. */
  readonly signal?: AbortSignal | undefined;
  /** Time for which a failing request is repeated. @default as the client; no limit while following */
  readonly retryMs?: number | undefined;
};

/** How long one request waits for a record. */
const WAIT_MS = 30_000;
/** Time after which a lagging node is asked again for records that other nodes have. */
const LAG_WAIT_MS = 1_000;

type Pages = AsyncGenerator<readonly Message[], void, void>;
type Describe = (topic: string, options: CallOptions) => Promise<TopicDescription>;

export class Consumer implements AsyncIterable<Message> {
  readonly topic: string;
  readonly #log: Log;
  readonly #describe: Describe;
  readonly #options: ConsumeOptions;
  /** By partition: the offset after the last message that was returned. */
  readonly #positions = new Map<number, number>();
  readonly #committed = new Map<number, number>();

  constructor(log: Log, describe: Describe, topic: string, options: ConsumeOptions) {
    this.#log = log;
    this.#describe = describe;
    this.topic = topic;
    this.#options = options;
  }

  /** The next offset of each partition that returned a message. */
  get positions(): ReadonlyMap<number, number> {
    return this.#positions;
  }

  /** Commits for the group all messages returned so far, including the current one. */
  async commit(): Promise<void> {
    const { group } = this.#options;
    if (group === undefined) throw new TypeError("commit() needs a group");
    const { topic } = this;
    for (const [partition, offset] of this.#positions) {
      if (this.#committed.get(partition) === offset) continue;
      await this.#log.commit({ topic, partition, group, offset }, {});
      this.#committed.set(partition, offset);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    const { signal } = this.#options;
    for await (const messages of this.#stoppable()) {
      for (const message of messages) {
        if (signal?.aborted === true) return;
        this.#handOut(message);
        yield message;
      }
    }
  }

  /** Returns the messages in pages as they were read, for callers that process many at a time. */
  async *pages(): AsyncGenerator<readonly Message[], void, void> {
    for await (const messages of this.#stoppable()) {
      for (const message of messages) this.#handOut(message);
      yield messages;
    }
  }

  #handOut({ partition, offset }: Message): void {
    this.#positions.set(partition, offset + 1);
  }

  /** Ends when the caller's signal is aborted, and aborts the request in flight when it ends. */
  async *#stoppable(): Pages {
    const stop = new AbortController();
    const { signal } = this.#options;
    const ended = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    try {
      yield* this.#pages(ended);
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    } finally {
      stop.abort();
    }
  }

  async *#pages(signal: AbortSignal): Pages {
    const partitions = await this.#partitions(signal);
    const followed = this.#options.follow === true && partitions.length > 1;
    if (followed) yield* merge(partitions.map((p) => this.#partition(p, signal)));
    else for (const each of partitions) yield* this.#partition(each, signal);
  }

  async #partitions(signal: AbortSignal): Promise<readonly number[]> {
    if (this.#options.partition !== undefined) return [this.#options.partition];
    const { partitions } = await this.#describe(this.topic, { signal });
    return partitions.map(({ partition }) => partition);
  }

  async *#partition(partition: number, signal: AbortSignal): Pages {
    const { follow = false } = this.#options;
    let offset = await this.#start(partition, signal);
    let end = Number.POSITIVE_INFINITY;
    let waitMs = 0;
    let topicId: number | undefined;
    while (offset === undefined || offset < end) {
      const page = await this.#read(partition, { offset, topicId, waitMs, signal });
      topicId = page.topicId;
      if (!follow && end === Number.POSITIVE_INFINITY) end = page.endOffset;
      const messages = page.messages.filter((message) => message.offset < end);
      if (messages.length > 0) yield messages;
      offset = page.nextOffset;
      waitMs = follow ? WAIT_MS : LAG_WAIT_MS;
    }
  }

  #read(
    partition: number,
    next: Pick<ReadOptions, "offset" | "topicId" | "waitMs" | "signal">,
  ): Promise<Page> {
    const { group, limit, linearizable, follow } = this.#options;
    const { retryMs = follow === true ? Number.POSITIVE_INFINITY : undefined } = this.#options;
    return this.#log.read(this.topic, partition, { ...next, group, limit, linearizable, retryMs });
  }

  /** @returns undefined for the committed offset, which only the server knows. */
  async #start(partition: number, signal: AbortSignal): Promise<number | undefined> {
    const { from = this.#options.group === undefined ? "earliest" : "committed" } = this.#options;
    if (typeof from === "number") return from;
    if (typeof from === "object") {
      const offsets = await this.#log.offsetsAt(this.topic, from.timeMs, { signal });
      return offsets.find((each) => each.partition === partition)?.offset ?? 0;
    }
    if (from === "earliest") return 0;
    if (from === "committed") return undefined;
    const { partitions } = await this.#describe(this.topic, { signal });
    return partitions.find((each) => each.partition === partition)?.endOffset ?? 0;
  }
}

/** Yields the pages of all sources as they arrive; a source is read again when its page was taken. */
async function* merge(sources: readonly Pages[]): Pages {
  const ready: (() => void)[] = [];
  const pages: (readonly Message[])[] = [];
  let wake = (): void => undefined;
  let open = sources.length;
  let failure: { readonly error: unknown } | null = null;
  const pump = async (source: Pages): Promise<void> => {
    try {
      for await (const page of source) {
        await new Promise<void>((taken) => {
          ready.push(taken);
          pages.push(page);
          wake();
        });
      }
    } catch (error) {
      failure ??= { error };
    }
    open--;
    wake();
  };
  const pumps = sources.map(pump);
  while (open > 0 || pages.length > 0) {
    const page = pages.shift();
    if (page !== undefined) {
      ready.shift()?.();
      yield page;
      continue;
    }
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  await Promise.all(pumps);
  if (failure !== null) throw (failure as { readonly error: unknown }).error;
}
