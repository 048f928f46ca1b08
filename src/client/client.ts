import { Admin } from "./admin.ts";
import type { RawPage } from "./batches.ts";
import { type ConsumeOptions, Consumer } from "./consumer.ts";
import { DurableStreams } from "./durable.ts";
import { Exports } from "./exports.ts";
import { ClusterClient, Retention, Streams, Topics, Views } from "./facets.ts";
import { GroupConsumer, type GroupOptions } from "./group.ts";
import { Kv } from "./kv.ts";
import { Log } from "./log.ts";
import { Producer, type ProducerOptions } from "./producer.ts";
import type { QueueSummary } from "./queue-types.ts";
import { listQueues, Queue } from "./queues.ts";
import { Schedules } from "./schedules.ts";
import {
  GROUP_DELETED,
  GROUP_DESCRIBED,
  GROUP_LIST,
  KV_NAMESPACE_DELETED,
  KV_NAMESPACES,
  SOUGHT,
} from "./shapes.ts";
import type { JoinRequest, JoinResult, QueryRequest, QueryResult } from "./stream-types.ts";
import { type CallOptions, type ClientOptions, type Request, Transport } from "./transport.ts";
import type {
  Deleted,
  GroupDescription,
  GroupLag,
  GroupSummary,
  KvNamespace,
  KvNamespaceDeleted,
  NewRecord,
  OffsetAt,
  Page,
  PartitionRef,
  Produced,
  ProducedBatch,
  ProduceOptions,
  ReadOptions,
  ScheduledMessage,
  SeekRequest,
  Sought,
} from "./types.ts";
import { segment } from "./url.ts";
import { camel, decodeText, type Value } from "./values.ts";
import { Webhooks } from "./webhooks.ts";

const groupPath = (group: string): string => `/broker/groups/${segment(group)}`;

/**
 * A client of a server or a cluster. It holds no connection of its own and needs no closing.
 * All methods throw `AyderError`, or the reason of the signal that was passed.
 */
export class Client {
  readonly topics: Topics;
  readonly retention: Retention;
  readonly views: Views;
  readonly cluster: ClusterClient;
  readonly admin: Admin;
  readonly schedules: Schedules;
  readonly webhooks: Webhooks;
  readonly durable: DurableStreams;
  readonly exports: Exports;
  readonly #transport: Transport;
  readonly #log: Log;
  readonly #streams: Streams;

  constructor(options: ClientOptions) {
    const transport = new Transport(options);
    this.#transport = transport;
    this.#log = new Log(transport);
    this.#streams = new Streams(transport);
    this.topics = new Topics(transport);
    this.retention = new Retention(transport);
    this.views = new Views(transport);
    this.cluster = new ClusterClient(transport);
    this.admin = new Admin(transport);
    this.schedules = new Schedules(transport);
    this.webhooks = new Webhooks(transport);
    this.durable = new DurableStreams(transport);
    this.exports = new Exports(transport);
  }

  /** Address of the next request: the leader, once a write was redirected to it. */
  get url(): string {
    return this.#transport.url;
  }

  /** Writes one message. It is stored exactly once across retries, because it has an idempotency key. */
  produce(topic: string, value: Value, options: ProduceOptions = {}): Promise<Produced> {
    return this.#log.produce(topic, value, options);
  }

  /**
   * Produces the message later: after `delayMs`, or at `deliverAtMs`. It is scheduled once across
   * retries.
   */
  schedule(
    topic: string,
    value: Value,
    when: { readonly delayMs: number } | { readonly deliverAtMs: number },
    options: ProduceOptions = {},
  ): Promise<ScheduledMessage> {
    const query =
      "delayMs" in when ? { delay_ms: when.delayMs } : { deliver_at_ms: when.deliverAtMs };
    return this.#log.schedule(topic, value, options, query);
  }

  /** Writes all messages or none, to one partition, with contiguous offsets. */
  produceBatch(
    topic: string,
    values: readonly Value[],
    options: ProduceOptions = {},
  ): Promise<ProducedBatch> {
    return this.#log.produceBatch(topic, values, options);
  }

  /**
   * Writes all records or none, to one partition: each with its own key and headers. Without
   * `partition` and `key`, the key of the first record chooses the partition.
   */
  produceRecords(
    topic: string,
    records: readonly NewRecord[],
    options: ProduceOptions = {},
  ): Promise<ProducedBatch> {
    return this.#log.produceRecords(topic, records, options);
  }

  /** For many messages: they share requests, with batches that grow with the load. */
  producer(topic: string, options: ProducerOptions = {}): Producer {
    const describe = this.topics.describe.bind(this.topics);
    return new Producer(this.#log, describe, topic, options);
  }

  /** Finds the first record of each partition that is not older than a time. */
  offsetsAt(
    topic: string,
    timeMs: number,
    options: CallOptions = {},
  ): Promise<readonly OffsetAt[]> {
    return this.#log.offsetsAt(topic, timeMs, options);
  }

  /** Reads one page. */
  read(topic: string, partition: number, options: ReadOptions = {}): Promise<Page> {
    return this.#log.read(topic, partition, options);
  }

  /** Reads one page as the batches in which it is stored, for programs that convert many records. */
  readBatches(topic: string, partition: number, options: ReadOptions = {}): Promise<RawPage> {
    return this.#log.readBatches(topic, partition, options);
  }

  /** `for await (const message of client.consume("orders", { group: "billing" }))` */
  consume(topic: string, options: ConsumeOptions = {}): Consumer {
    const describe = this.topics.describe.bind(this.topics);
    return new Consumer(this.#log, describe, topic, options);
  }

  /**
   * @param request `offset` is the next offset to read, such as `nextOffset` of a page.
   * @returns the committed offset in force; it never moves back.
   */
  commit(
    request: PartitionRef & { readonly group: string; readonly offset: number },
    options: CallOptions = {},
  ): Promise<number> {
    return this.#log.commit(request, options);
  }

  /** `await client.queue("mail").work(async (message) => …, { concurrency: 8 })` */
  queue(name: string): Queue {
    return new Queue(this.#transport, name);
  }

  /** The queues of all topics that the token may read, by name. */
  listQueues(options: CallOptions = {}): Promise<readonly QueueSummary[]> {
    return listQueues(this.#transport, options);
  }

  /** The consumer groups of all topics that the token may read, by name. */
  async listGroups(options: CallOptions = {}): Promise<readonly GroupSummary[]> {
    const request = { method: "GET", path: "/broker/groups", ...options } as const;
    const answer = await this.#transport.json(request, GROUP_LIST);
    // Servers of an earlier version have no members.
    return answer.groups.map((each) => ({ ...each, members: each.members ?? 0 }));
  }

  /**
   * Becomes a member of a group, which shares the partitions of the topics:
   * `for await (const message of client.group("billing", { topics: ["orders"] }))`
   */
  group(name: string, options: GroupOptions): GroupConsumer {
    return new GroupConsumer(this.#transport, name, options);
  }

  /** Members, owners and lag of a group. */
  async describeGroup(group: string, options: CallOptions = {}): Promise<GroupDescription> {
    const request = { method: "GET", path: groupPath(group), ...options } as const;
    const answer = camel(await this.#transport.json(request, GROUP_DESCRIBED));
    return answer;
  }

  /** Moves a group forwards or back. Messages that its members have read are fenced. */
  async seekGroup(
    group: string,
    { topic, partition, to }: SeekRequest,
    options: CallOptions = {},
  ): Promise<readonly Sought[]> {
    const goal = typeof to === "object" && "timeMs" in to ? { time_ms: to.timeMs } : to;
    const body = JSON.stringify({ topic, partition, to: goal });
    const path = `${groupPath(group)}/seek`;
    const request = { method: "POST", path, body, ...options } as const;
    return camel(await this.#transport.json(request, SOUGHT)).offsets;
  }

  /** Deletes the committed offsets of a group in all topics. @returns the number of offsets. */
  async deleteGroup(group: string, options: CallOptions = {}): Promise<number> {
    const request = { method: "DELETE", path: groupPath(group), ...options } as const;
    const answer = await this.#transport.json(request, GROUP_DELETED);
    return answer.offsets;
  }

  /** Committed offsets and lag of the groups of a topic. */
  async groups(topic: string, options: CallOptions = {}): Promise<readonly GroupLag[]> {
    return (await this.topics.describe(topic, options)).groups;
  }

  /** Deletes all records below an offset, on every node. This cannot be undone. */
  deleteBefore(
    request: PartitionRef & { readonly beforeOffset: number },
    options: CallOptions = {},
  ): Promise<Deleted> {
    return this.#log.deleteBefore(request, options);
  }

  kv(namespace: string): Kv {
    return new Kv(this.#transport, namespace);
  }

  /** The namespaces of keys, also those without keys. */
  async namespaces(options: CallOptions = {}): Promise<readonly KvNamespace[]> {
    const request = { method: "GET", path: "/kv", ...options } as const;
    const answer = await this.#transport.json(request, KV_NAMESPACES);
    return answer.namespaces;
  }

  /**
   * Deletes a namespace with its keys. Its revisions are not used again by a new one.
   *
   * @param options `ifEmpty`: the error is `namespace_not_empty` if it has keys.
   */
  async deleteNamespace(
    namespace: string,
    options: CallOptions & { readonly ifEmpty?: boolean } = {},
  ): Promise<KvNamespaceDeleted> {
    const { ifEmpty = false, ...call } = options;
    const path = `/kv/${segment(namespace)}${ifEmpty ? "?if_empty=1" : ""}`;
    const request = { method: "DELETE", path, ...call } as const;
    return camel(await this.#transport.json(request, KV_NAMESPACE_DELETED));
  }

  query<T = unknown>(body: QueryRequest, options: CallOptions = {}): Promise<QueryResult<T>> {
    return this.#streams.query<T>(body, options);
  }

  join<L = unknown, R = unknown>(
    body: JoinRequest,
    options: CallOptions = {},
  ): Promise<JoinResult<L, R>> {
    return this.#streams.join<L, R>(body, options);
  }

  /** True if a node answers; one attempt, at any node. */
  async healthy(options: CallOptions = {}): Promise<boolean> {
    return await this.#answers("/health", options);
  }

  /** True if a node has recovered and knows a leader; one attempt, at any node. */
  async ready(options: CallOptions = {}): Promise<boolean> {
    return await this.#answers("/ready", options);
  }

  async #answers(path: string, options: CallOptions): Promise<boolean> {
    try {
      await this.#transport.send({ method: "GET", path, retryMs: 0, ...options });
      return true;
    } catch {
      options.signal?.throwIfAborted();
      return false;
    }
  }

  /** Sends any other request, with the same retries and redirects. @returns the body unchanged. */
  async request(request: Request): Promise<string> {
    return decodeText((await this.#transport.send(request)).bytes);
  }
}

/** @throws TypeError if there is no address, or if one is not http or https. */
export const createClient = (options: ClientOptions): Client => new Client(options);
