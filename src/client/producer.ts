/**
 * Sends many messages in few requests: messages that are passed while a request is in flight are
 * sent together in the next one. Batches grow with the load, and a single message is sent at once.
 *
 * Requests have numbers, one series for each partition, so that a repeated one is stored once.
 */
import { partitionOfKey } from "../lib/partitioner.ts";
import { AyderError } from "./errors.ts";
import { Lane, type LaneOptions, type Numbers, type Sent, type Waiting } from "./lane.ts";
import { type Log, randomText } from "./log.ts";
import { outgoing } from "./outgoing.ts";
import type { CallOptions } from "./transport.ts";
import type { TopicDescription } from "./types.ts";
import { bytesOf, type RecordHeaders, type Value } from "./values.ts";

export type { Sent } from "./lane.ts";

export type ProducerOptions = {
  /** Partition of messages that do not name one. */
  readonly partition?: number | undefined;
  readonly mode?: "sealed" | "rocket" | undefined;
  /**
   * Name that the server knows the producer by. A new process with the same name fences the old one,
   * whose messages are then refused with `stale_epoch`. @default a random one
   */
  readonly id?: string | undefined;
  /**
   * A higher epoch fences lower ones of the same `id`. If it is given, an unknown outcome ends the
   * producer, because only the caller may raise it. @default the time of the start, raised if necessary
   */
  readonly epoch?: number | undefined;
  /** Maximum size of a request. @default 1 MiB */
  readonly batchBytes?: number | undefined;
  /** @default 10_000 */
  readonly batchMessages?: number | undefined;
  /** `send` rejects with `queue_full` if more bytes than this wait for an answer. @default 64 MiB */
  readonly queueBytes?: number | undefined;
  readonly retryMs?: number | undefined;
};

export type SendOptions = {
  readonly partition?: number | undefined;
  readonly key?: string | undefined;
  readonly headers?: RecordHeaders | undefined;
};

const MIB = 1024 * 1024;

type Describe = (topic: string, options: CallOptions) => Promise<TopicDescription>;
type Placed = { readonly waiting: Waiting; readonly key: string | undefined };

export class Producer {
  readonly topic: string;
  readonly #describe: Describe;
  readonly #options: ProducerOptions;
  readonly #shared: LaneOptions;
  readonly #lanes = new Map<number, Lane>();
  /** Lanes by key, while the number of partitions is not known. */
  readonly #keyLanes = new Map<string, Lane>();
  /** Number of partitions of the topic. Null: not known. */
  #partitions: number | null = null;
  /** The partitions cannot be known: the token may not read the topic. */
  #isBlind: boolean;
  /** Messages whose partition depends on the number of partitions. */
  readonly #unplaced: Placed[] = [];
  #placing: Promise<void> | null = null;
  /** Partition of messages without a key. The next one after each batch. */
  #turn = 0;
  #queuedBytes = 0;

  constructor(log: Log, describe: Describe, topic: string, options: ProducerOptions) {
    this.topic = topic;
    this.#describe = describe;
    this.#options = options;
    this.#isBlind = options.mode === "rocket";
    const { batchBytes = MIB, batchMessages = 10_000, mode, retryMs } = options;
    this.#shared = {
      ...{ log, topic, mode, retryMs, batchBytes, batchMessages },
      numbers: numbersOf(options),
      taken: (lane) => this.#taken(lane),
      done: (bytes) => {
        this.#queuedBytes -= bytes;
      },
      failed: (error) => this.#failed(error),
      idle: (lane) => {
        if (lane.partition === undefined) this.#keyLanes.delete(lane.name);
      },
    };
  }

  /** Bytes of messages that wait for an answer. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Name that the server knows the producer by. */
  get id(): string {
    return this.#shared.numbers.id;
  }

  /**
   * Messages with the same key, or without one for the same partition, are stored in the order of
   * the calls. A message that fails does not delay later ones.
   *
   * @returns when the message is stored, as the mode defines it.
   * @throws AyderError `sequence_gap` if the server has lost or forgotten earlier messages of the
   *   partition, `stale_epoch` if another producer with the same `id` has a higher epoch.
   */
  send(value: Value, options: SendOptions = {}): Promise<Sent> {
    const { partition = this.#options.partition, key, headers } = options;
    const message = outgoing(value, key, headers);
    const bytes = message.content.length;
    const { queueBytes = 64 * MIB } = this.#options;
    if (this.#queuedBytes > 0 && this.#queuedBytes + bytes > queueBytes) {
      return Promise.reject(queueFull(queueBytes));
    }
    this.#queuedBytes += bytes;
    return new Promise((resolve, reject) => {
      this.#place({ ...message, bytes, resolve, reject }, partition, key);
    });
  }

  /** Resolves when every message sent before has an answer or an error. */
  async flush(): Promise<void> {
    while (this.#placing !== null) await this.#placing;
    const lanes = [...this.#lanes.values(), ...this.#keyLanes.values()];
    await Promise.all(lanes.map((lane) => lane.flush()));
  }

  #place(waiting: Waiting, partition: number | undefined, key: string | undefined): void {
    if (partition !== undefined) this.#laneOf(partition).push(waiting);
    else if (this.#isBlind) this.#keyLane(key).push(waiting);
    else if (this.#partitions !== null && this.#placing === null) {
      this.#laneFor({ key }, this.#partitions).push(waiting);
    } else {
      this.#unplaced.push({ waiting, key });
      this.#placing ??= this.#placeAll().finally(() => {
        this.#placing = null;
      });
    }
  }

  /** Messages without a key share a request, and the next ones go to another partition. */
  #taken(lane: Lane): void {
    if (this.#partitions !== null && lane.partition === this.#turn % this.#partitions) this.#turn++;
  }

  /** Places messages once the number of partitions is known. */
  async #placeAll(): Promise<void> {
    while (this.#unplaced.length > 0) {
      try {
        const partitions = await this.#learn();
        const placed = this.#unplaced.splice(0);
        if (partitions === null) await this.#sendByKey(placed);
        else for (const each of placed) this.#laneFor(each, partitions).push(each.waiting);
      } catch (error) {
        for (const { waiting } of this.#unplaced.splice(0)) this.#refuse(waiting, error);
      }
    }
  }

  /**
   * The messages go to the partitions that the server chooses. If the topic does not exist, the first
   * of them creates it, and the messages after them wait until then.
   */
  async #sendByKey(placed: readonly Placed[]): Promise<void> {
    for (const { waiting, key } of placed) this.#keyLane(key).push(waiting);
    if (this.#isBlind) return;
    await Promise.all([...this.#keyLanes.values()].map((lane) => lane.flush()));
  }

  /**
   * @returns the number of partitions; null if messages have to be sent without it.
   * @throws AyderError if no server answers.
   */
  async #learn(): Promise<number | null> {
    if (this.#isBlind) return null;
    try {
      const { retryMs } = this.#options;
      const { partitions } = await this.#describe(this.topic, { retryMs });
      this.#partitions = partitions.length;
      return partitions.length;
    } catch (error) {
      if (!(error instanceof AyderError) || error.isRetriable) throw error;
      this.#isBlind = error.code !== "topic_not_found";
      return null;
    }
  }

  #laneFor({ key }: Pick<Placed, "key">, partitions: number): Lane {
    const partition =
      key === undefined ? this.#turn % partitions : partitionOfKey(bytesOf(key), partitions);
    return this.#laneOf(partition);
  }

  #failed(error: unknown): void {
    // The topic was created again with fewer partitions.
    if (error instanceof AyderError && error.code === "partition_not_found")
      this.#partitions = null;
  }

  #refuse(waiting: Waiting, error: unknown): void {
    this.#queuedBytes -= waiting.bytes;
    waiting.reject(error);
  }

  #laneOf(partition: number): Lane {
    const known = this.#lanes.get(partition);
    if (known !== undefined) return known;
    const lane = new Lane(this.#shared, String(partition), partition);
    this.#lanes.set(partition, lane);
    return lane;
  }

  #keyLane(key: string | undefined): Lane {
    const name = JSON.stringify(key ?? null);
    const known = this.#keyLanes.get(name);
    if (known !== undefined) return known;
    const lane = new Lane(this.#shared, name, undefined);
    this.#keyLanes.set(name, lane);
    return lane;
  }
}

function numbersOf({ id, epoch }: ProducerOptions): Numbers {
  const own = id === undefined ? 0 : Date.now();
  return {
    id: id ?? randomText(),
    epoch: epoch ?? own,
    mayRaise: epoch === undefined,
    keysUntilMs: 0,
  };
}

const queueFull = (limit: number): AyderError =>
  new AyderError(`more than ${limit} bytes wait for an answer; await earlier sends`, {
    code: "queue_full",
    status: 0,
    outcome: "refused",
    isRetriable: true,
  });
