import type { ByteCursor } from "../../lib/byte-cursor.ts";
import type { Gauge } from "../../lib/gauge.ts";
import type {
  Backup,
  BackupReject,
  ClusterApi,
  ConsumeRequest,
  DurableApi,
  ExportApi,
  GroupsApi,
  KvGetOutcome,
  KvPutOutcome,
  KvPutRequest,
  LaterApi,
  NodeApi,
  ProduceOutcome,
  ProduceRequest,
  ProducersApi,
  QueueApi,
  Result,
  SampleApi,
  StreamApi,
  WebhookApi,
} from "../api.ts";
import type { WaitClock } from "../reads/record-waits.ts";
import type {
  CallArguments,
  CallName,
  CallOutcome,
  SignalledArguments,
  SignalledName,
  SignalledOutcome,
} from "./calls.ts";
import {
  consumeBytesMax,
  ENTRY_HEAD_BYTES,
  kvGetBytesMax,
  kvPutBytesMax,
  produceBytesMax,
  readPage,
  writeConsume,
  writeKvGet,
  writeKvPut,
  writeProduce,
} from "./codec.ts";
import {
  Inbox,
  KIND,
  type Kind,
  type KnownLeader,
  NO_LEADER_KNOWN,
  Outbox,
  type PortMessage,
  type Post,
} from "./message.ts";
import { type PageOutcome, readEntry, readOutcome } from "./outcomes.ts";
import { type RingEnds, RingLink } from "./ring-link.ts";
import { GivenBlocks } from "./shared-pages.ts";
import { SharedReads } from "./shared-reads.ts";
import { SharedWaits } from "./shared-waits.ts";
import { type ReadOpenFile, WindowWork } from "./window-reads.ts";

export type WorkerPortOptions = {
  readonly post: Post;
  readonly clock: WaitClock;
  /** The queue limits of the node. Calls in flight to the node count as queued. */
  readonly queueBytesMax: number;
  readonly queueRequestsMax: number;
  /** Calls in flight of all threads that have a port. */
  readonly queued: { readonly bytes: Gauge; readonly requests: Gauge };
  /** Frequent calls go this way. Absent: all calls go by message. */
  readonly rings?: RingEnds;
  /** Reads files for the node. */
  readonly readFile: ReadOpenFile;
};

/** Receives the outcome of a call. A failure of the node itself goes to `failed`. */
type Waiting = {
  readonly done: (outcome: never) => void;
  readonly failed: (error: Error) => void;
  /** Bytes that a write counts in the queue. */
  readonly bytes: number;
};

/** The node's API in another thread. All calls of an event-loop iteration share one message. */
export class WorkerPort implements NodeApi {
  readonly #options: WorkerPortOptions;
  readonly #outbox: Outbox;
  readonly #waiting = new Map<number, Waiting>();
  readonly #blocks = new GivenBlocks();
  readonly #rings: RingLink | null;
  readonly #windows: WindowWork;
  readonly #waits: SharedWaits;
  readonly #reads = new SharedReads();
  #lastId = 0;
  #leader = NO_LEADER_KNOWN;

  constructor(options: WorkerPortOptions) {
    const { post, clock, rings, readFile } = options;
    const defer = (run: () => void) => clock.defer(run);
    this.#options = options;
    this.#waits = new SharedWaits(clock);
    this.#outbox = new Outbox(post, defer);
    this.#rings =
      rings === undefined ? null : new RingLink(rings, defer, (entry) => this.#take(entry));
    const windows = { readFile, blocks: this.#blocks, outbox: this.#outbox, rings: this.#rings };
    this.#windows = new WindowWork(windows);
  }

  /** Called when the other side has woken this one: there are entries in the ring. */
  woken(): void {
    this.#rings?.woken();
  }

  receive(message: PortMessage): void {
    this.#rings?.drain();
    if (message.leader !== null) this.#setLeader(message.leader);
    const inbox = new Inbox(message);
    while (!inbox.isEmpty) {
      const kind = inbox.next<Kind>();
      const id = inbox.next<number>();
      if (kind === KIND.block) this.#blocks.given(id, inbox.next<SharedArrayBuffer>());
      else if (kind === KIND.freed) this.#blocks.freed(id);
      else if (kind === KIND.readWindow) this.#windows.take(id, inbox);
      else this.#finish(kind, id, inbox);
    }
  }

  /** Takes an outcome from a message. */
  #finish(kind: Kind, id: number, inbox: Inbox): void {
    const waiting = this.#end(id);
    if (kind === KIND.failed) waiting.failed(new Error(inbox.next<string>()));
    else waiting.done(readOutcome(kind, inbox) as never);
  }

  /** Takes an outcome from the ring. */
  #take(entry: ByteCursor): void {
    const kind = entry.u8();
    const id = entry.number();
    if (kind === KIND.leader) {
      const byLink = entry.u8() === 1;
      const url = entry.text();
      this.#setLeader({ version: id, url: url === "" ? null : url, byLink });
      return;
    }
    if (kind === KIND.page) {
      const page = readPage(entry);
      entry.checkEnd();
      const { done } = this.#end(id);
      this.#blocks.resolve(page, (found) => done({ ok: true, ...found } as never));
      return;
    }
    const outcome = readEntry(kind, entry);
    entry.checkEnd();
    this.#end(id).done(outcome as never);
  }

  /** The outcome of a call has arrived. */
  #end(id: number): Waiting {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) throw new Error(`the port brought a second outcome of call ${id}`);
    this.#waiting.delete(id);
    if (waiting.bytes > 0) {
      this.#options.queued.bytes.add(-waiting.bytes);
      this.#options.queued.requests.add(-1);
    }
    return waiting;
  }

  #setLeader(leader: KnownLeader): void {
    if (leader.version > this.#leader.version) this.#leader = leader;
  }

  leaderUrl(): string | null {
    return this.#leader.url;
  }

  forwardsByLink(): boolean {
    return this.#leader.byLink;
  }

  /** Returns where to write a call, or how else it ends. */
  #reserve(bytes: number): ByteCursor | "long" | "full" {
    return this.#rings === null ? "long" : this.#rings.reserve(bytes);
  }

  #begin(entry: ByteCursor, kind: Kind, id: number): void {
    entry.putU8(kind);
    entry.putNumber(id);
  }

  /** Large records are transferred, so the caller must not use them afterwards. */
  produce(request: ProduceRequest, done: (outcome: ProduceOutcome) => void): void {
    const { length } = request.records.bytes;
    const entry = this.#isFull(length)
      ? "full"
      : this.#reserve(ENTRY_HEAD_BYTES + produceBytesMax(request));
    if (entry === "full") {
      done(OVERLOADED);
      return;
    }
    const id = this.#expectWrite(length, done);
    if (entry === "long") {
      this.#postProduce(id, request);
      return;
    }
    this.#begin(entry, KIND.produce, id);
    writeProduce(entry, request);
    this.#rings?.publish();
  }

  #postProduce(id: number, request: ProduceRequest): void {
    const { topic, partition, key, idempotencyKey, records, timeoutMs, rocket, traced } = request;
    const outbox = this.#outbox;
    outbox.items.push(
      KIND.produce,
      id,
      topic,
      partition,
      outbox.copy(key),
      outbox.copy(idempotencyKey),
      outbox.give(records.bytes as Uint8Array<ArrayBuffer>),
      records.count,
      records.logicalBytes,
      records.hasHeaders,
      timeoutMs,
      rocket,
      traced === true,
      request.producer ?? null,
    );
  }

  kvPut(request: KvPutRequest, done: (outcome: KvPutOutcome) => void): void {
    const { length } = request.value;
    const entry = this.#isFull(length)
      ? "full"
      : this.#reserve(ENTRY_HEAD_BYTES + kvPutBytesMax(request));
    if (entry === "full") {
      done(OVERLOADED);
      return;
    }
    const id = this.#expectWrite(length, done);
    if (entry === "long") {
      const { namespace, key, value, cas, ttlMs, timeoutMs } = request;
      const outbox = this.#outbox;
      outbox.items.push(KIND.kvPut, id, namespace, key, outbox.copy(value), cas, ttlMs, timeoutMs);
      return;
    }
    this.#begin(entry, KIND.kvPut, id);
    writeKvPut(entry, request);
    this.#rings?.publish();
  }

  readonly consume: NodeApi["consume"] = (request) =>
    request.follows === true
      ? this.#reads.page(request, () => this.#consume(request))
      : this.#consume(request);

  #consume(request: ConsumeRequest): Promise<PageOutcome> {
    const entry = this.#reserve(ENTRY_HEAD_BYTES + consumeBytesMax(request));
    if (entry === "full") return Promise.resolve(OVERLOADED);
    return new Promise<PageOutcome>((resolve, reject) => {
      const id = this.#expect(resolve, reject);
      if (entry === "long") {
        this.#postConsume(id, request);
        return;
      }
      this.#begin(entry, KIND.consume, id);
      writeConsume(entry, request);
      this.#rings?.publish();
    });
  }

  #postConsume(id: number, request: ConsumeRequest): void {
    const { topic, partition, group, offset, topicId = null } = request;
    const { limit, maxBytes, linearizable } = request;
    const { items } = this.#outbox;
    items.push(KIND.consume, id, topic, partition, group, offset, topicId);
    items.push(limit, maxBytes, linearizable);
  }

  readonly kvGet: NodeApi["kvGet"] = (request) => {
    const entry = this.#reserve(ENTRY_HEAD_BYTES + kvGetBytesMax(request));
    if (entry === "full") return OVERLOADED;
    return new Promise<KvGetOutcome>((resolve, reject) => {
      const id = this.#expect(resolve, reject);
      if (entry === "long") {
        const { namespace, key, linearizable } = request;
        this.#outbox.items.push(KIND.kvGet, id, namespace, key, linearizable);
        return;
      }
      this.#begin(entry, KIND.kvGet, id);
      writeKvGet(entry, request);
      this.#rings?.publish();
    });
  };

  readonly waitForRecords: NodeApi["waitForRecords"] = (wait) =>
    this.#waits.records(wait, ({ signal, ...of }) => this.#signalled("waitForRecords", signal, of));
  readonly health: NodeApi["health"] = () => this.#call("health");
  readonly nodeMark: NodeApi["nodeMark"] = () => this.#call("nodeMark");
  readonly isNodeMark: NodeApi["isNodeMark"] = (mark) => this.#call("isNodeMark", mark);
  readonly createTopic: NodeApi["createTopic"] = (topic, partitions) =>
    this.#call("createTopic", topic, partitions);
  readonly deleteTopic: NodeApi["deleteTopic"] = (topic) => this.#call("deleteTopic", topic);
  readonly listTopics: NodeApi["listTopics"] = (request) => this.#call("listTopics", request);
  readonly offsetsAt: NodeApi["offsetsAt"] = (request) => this.#call("offsetsAt", request);
  readonly describeTopic: NodeApi["describeTopic"] = (topic, rowsMax) =>
    this.#call("describeTopic", topic, rowsMax);
  readonly catchUp: NodeApi["catchUp"] = () => this.#call("catchUp");
  readonly deleteGroup: NodeApi["deleteGroup"] = (group) => this.#call("deleteGroup", group);
  readonly groupsOf: NodeApi["groupsOf"] = (topic, names) => this.#call("groupsOf", topic, names);
  readonly commitOffset: NodeApi["commitOffset"] = (request) => this.#call("commitOffset", request);
  readonly deleteBefore: NodeApi["deleteBefore"] = (request) => this.#call("deleteBefore", request);
  readonly setRetention: NodeApi["setRetention"] = (request) => this.#call("setRetention", request);
  readonly listRetention: NodeApi["listRetention"] = () => this.#call("listRetention");
  readonly kvDeleteNamespace: NodeApi["kvDeleteNamespace"] = (request) =>
    this.#call("kvDeleteNamespace", request);
  readonly kvDelete: NodeApi["kvDelete"] = (request) => this.#call("kvDelete", request);
  readonly kvList: NodeApi["kvList"] = (request) => this.#call("kvList", request);
  readonly kvNamespaces: NodeApi["kvNamespaces"] = () => this.#call("kvNamespaces");
  readonly lastSyncedIndex: NodeApi["lastSyncedIndex"] = () => this.#call("lastSyncedIndex");
  readonly compact: NodeApi["compact"] = () => this.#call("compact");

  async beginBackup(): Promise<Result<{ readonly backup: Backup }, BackupReject>> {
    const begun = await this.#call("beginBackup");
    if (!begun.ok) return begun;
    const { handle, index, term, bytes } = begun;
    const next = async () =>
      (await this.#call("nextOfBackup", handle)) as Uint8Array<ArrayBuffer> | null;
    const release = () => this.#call("releaseBackup", handle);
    return { ok: true, backup: { index, term, bytes, next, release } };
  }

  readonly producers: ProducersApi = {
    list: (request) => this.#call("listProducers", request),
    forget: (topic, id) => this.#call("forgetProducer", topic, id),
  };

  readonly groups: GroupsApi = {
    join: (request) => this.#call("joinGroup", request),
    read: ({ signal, ...request }) => this.#signalled("readMember", signal, request),
    commit: (request) => this.#call("commitMember", request),
    leave: (member) => this.#call("leaveGroup", member),
    seek: (request) => this.#call("seekGroup", request),
    topicsOfMember: (member) => this.#call("topicsOfMember", member),
    describe: (group) => this.#call("describeGroup", group),
    list: () => this.#call("listGroups"),
  };

  readonly cluster: ClusterApi = {
    membership: () => this.#call("membership"),
    addMember: (request) => this.#call("addMember", request),
    promoteMember: (nodeId) => this.#call("promoteMember", nodeId),
    removeMember: (nodeId) => this.#call("removeMember", nodeId),
    transferLeadership: (nodeId) => this.#call("transferLeadership", nodeId),
  };

  readonly streams: StreamApi = {
    query: ({ signal, ...request }) => this.#signalled("query", signal, request),
    join: ({ signal, ...request }) => this.#signalled("join", signal, request),
    getView: (name, signal) => this.#signalled("getView", signal, name),
    putView: (name, body) => this.#call("putView", name, body),
    deleteView: (name) => this.#call("deleteView", name),
    listViews: () => this.#call("listViews"),
    topicOfView: (name) => this.#call("topicOfView", name),
  };

  readonly queues: QueueApi = {
    define: (name, definition) => this.#call("defineQueue", name, definition),
    deleteQueue: (name) => this.#call("deleteQueue", name),
    purge: (name) => this.#call("purgeQueue", name),
    receive: ({ signal, ...request }) =>
      signal === null
        ? this.#call("receiveNow", request)
        : this.#signalled("receive", signal(), request),
    settle: (request) => this.#call("settleMessages", request),
    reject: (request) => this.#call("rejectMessages", request),
    redrive: (request) => this.#call("redrive", request),
    stopRedrive: (name) => this.#call("stopRedrive", name),
    listQueues: () => this.#call("listQueues"),
    describeQueue: (name) => this.#call("describeQueue", name),
    topicsOfQueue: (name) => this.#call("topicsOfQueue", name),
    hasTopic: (name) => this.#call("hasTopic", name),
  };

  readonly exports: ExportApi = {
    putExport: (name, definition) => this.#call("putExport", name, definition),
    deleteExport: (name) => this.#call("deleteExport", name),
    pauseExport: (name, paused) => this.#call("pauseExport", name, paused),
    flushExport: (name) => this.#call("flushExport", name),
    listExports: () => this.#call("listExports"),
    describeExport: (name) => this.#call("describeExport", name),
    topicOfExport: (name) => this.#call("topicOfExport", name),
  };

  readonly later: LaterApi = {
    schedule: (request) => this.#call("schedule", request),
    deleteScheduled: (id) => this.#call("deleteScheduled", id),
    listScheduled: (request) => this.#call("listScheduled", request),
    findScheduled: (id) => this.#call("findScheduled", id),
    putCron: (name, cron) => this.#call("putCron", name, cron),
    deleteCron: (name) => this.#call("deleteCron", name),
    listCrons: () => this.#call("listCrons"),
  };

  readonly webhooks: WebhookApi = {
    define: (name, definition) => this.#call("defineWebhook", name, definition),
    deleteWebhook: (name) => this.#call("deleteWebhook", name),
    pause: (name) => this.#call("pauseWebhook", name),
    resume: (name) => this.#call("resumeWebhook", name),
    rotate: (name) => this.#call("rotateSecret", name),
    test: (name) => this.#call("testWebhook", name),
    redrive: (name, limits) => this.#call("redriveWebhook", name, limits),
    purge: (name) => this.#call("purgeWebhook", name),
    deliveries: (name) => this.#call("webhookDeliveries", name),
    listWebhooks: () => this.#call("listWebhooks"),
    describeWebhook: (name) => this.#call("describeWebhook", name),
    topicsOfWebhook: (name) => this.#call("topicsOfWebhook", name),
  };

  readonly durable: DurableApi = {
    createStream: (request) => this.#call("createStream", request),
    appendStream: (request) => this.#call("appendStream", request),
    deleteStream: (path) => this.#call("deleteStream", path),
    describeStream: (path) => this.#call("describeStream", path),
    readStream: (request) => this.#call("readStream", request),
    waitForStream: (wait) =>
      this.#waits.stream(wait, ({ signal, ...of }) => this.#signalled("waitForStream", signal, of)),
    inspectStream: (path) => this.#call("inspectStream", path),
    listStreams: (request) => this.#call("listStreams", request),
    putSubscription: (request) => this.#call("putSubscription", request),
    describeSubscription: (id) => this.#call("describeSubscription", id),
    listSubscriptions: () => this.#call("listSubscriptions"),
    deleteSubscription: (id) => this.#call("deleteSubscription", id),
    linkStreams: (request) => this.#call("linkStreams", request),
    claimWake: (id, worker) => this.#call("claimWake", id, worker),
    settleWake: (request) => this.#call("settleWake", request),
    webhookKeys: () => this.#call("webhookKeys"),
  };

  readonly samples: SampleApi = {
    ha: () => this.#call("ha"),
    partitionSizes: () => this.#call("partitionSizes"),
    groupLags: () => this.#call("groupLags"),
    viewLags: () => this.#call("viewLags"),
    work: () => this.#call("work"),
    threads: () => this.#call("threads"),
  };

  #call<N extends CallName>(name: N, ...given: CallArguments<N>): Promise<CallOutcome<N>> {
    return new Promise((resolve, reject) => {
      this.#outbox.items.push(KIND.call, this.#expect(resolve, reject), name, given);
    });
  }

  /** An abort goes over the port. The outcome still comes from the node. */
  #signalled<N extends SignalledName>(
    name: N,
    signal: AbortSignal,
    ...given: SignalledArguments<N>
  ): Promise<SignalledOutcome<N>> {
    const { promise, resolve, reject } = Promise.withResolvers<SignalledOutcome<N>>();
    const id = this.#expect(resolve, reject);
    this.#outbox.items.push(KIND.signalled, id, name, given);
    const abort = () => this.#outbox.items.push(KIND.abort, id);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    return promise.finally(() => signal.removeEventListener("abort", abort));
  }

  /** The same as the node's own queue: an empty one accepts every request. */
  #isFull(bytes: number): boolean {
    const { queueBytesMax, queueRequestsMax, queued } = this.#options;
    const requests = queued.requests.value;
    if (requests === 0) return false;
    return queued.bytes.value + bytes > queueBytesMax || requests >= queueRequestsMax;
  }

  #expectWrite<T>(bytes: number, done: (outcome: T) => void): number {
    this.#options.queued.bytes.add(bytes + 1);
    this.#options.queued.requests.add(1);
    const failed = (error: Error): never => {
      throw error;
    };
    return this.#wait({ done, failed, bytes: bytes + 1 });
  }

  #expect<T>(done: (outcome: T) => void, failed: (error: Error) => void): number {
    return this.#wait({ done, failed, bytes: 0 });
  }

  #wait(waiting: Waiting): number {
    const id = ++this.#lastId;
    this.#waiting.set(id, waiting);
    return id;
  }
}

const OVERLOADED = { ok: false, code: "overloaded" } as const;
