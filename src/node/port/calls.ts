/** The rare calls, which cross a worker port without special encoding: one table for both sides. */
import type {
  AddMemberRequest,
  AppendStreamRequest,
  Backup,
  ClusterApi,
  CommitRequest,
  CreateStreamRequest,
  CronRequest,
  DurableApi,
  ExportApi,
  ExportDefinition,
  JoinApiRequest,
  KvDeleteNamespaceRequest,
  KvDeleteRequest,
  KvListRequest,
  LaterApi,
  LinkStreamsRequest,
  ListScheduledRequest,
  ListStreamsRequest,
  ListTopicsRequest,
  NodeApi,
  OffsetsAtRequest,
  PartitionRef,
  ProducersRequest,
  PutSubscriptionRequest,
  QueueApi,
  QueueDefinition,
  ReadStreamRequest,
  ReceiveRequest,
  RecordWait,
  RedriveRequest,
  RejectRequest,
  RetentionRequest,
  SampleApi,
  ScheduleRequest,
  SettleRequest,
  SettleWakeRequest,
  StreamApi,
  StreamRequest,
  StreamWait,
  WebhookApi,
  WebhookDefinition,
} from "../api.ts";

import type {
  JoinGroupRequest,
  MemberCommitRequest,
  MemberReadRequest,
  MemberRef,
  SeekGroupRequest,
} from "../groups-api.ts";
import { detached } from "../queue-api.ts";

/** The node's side of the port. */
export type Served = {
  readonly node: NodeApi;
  readonly cluster: ClusterApi;
  readonly streams: StreamApi;
  readonly queues: QueueApi;
  readonly later: LaterApi;
  readonly webhooks: WebhookApi;
  readonly durable: DurableApi;
  readonly exports: ExportApi;
  readonly samples: SampleApi;
};

/** Backups that were started over the port, by their number on the port. */
export type OpenBackups = Map<number, Backup>;
export type Side = Served & { readonly backups: OpenBackups; readonly id: number };

export const CALLS = {
  health: ({ node }: Side) => node.health(),
  nodeMark: ({ node }: Side) => node.nodeMark(),
  isNodeMark: ({ node }: Side, mark: string) => node.isNodeMark(mark),
  createTopic: ({ node }: Side, topic: string, partitions: number) =>
    node.createTopic(topic, partitions),
  deleteTopic: ({ node }: Side, topic: string) => node.deleteTopic(topic),
  listTopics: ({ node }: Side, request?: ListTopicsRequest) => node.listTopics(request),
  describeTopic: ({ node }: Side, topic: string, rowsMax?: number) =>
    node.describeTopic(topic, rowsMax),
  offsetsAt: ({ node }: Side, request: OffsetsAtRequest) => node.offsetsAt(request),
  catchUp: ({ node }: Side) => node.catchUp(),
  listProducers: ({ node }: Side, request: ProducersRequest) => node.producers.list(request),
  forgetProducer: ({ node }: Side, topic: string, id: string) => node.producers.forget(topic, id),
  joinGroup: ({ node }: Side, request: JoinGroupRequest) => node.groups.join(request),
  leaveGroup: ({ node }: Side, member: MemberRef) => node.groups.leave(member),
  commitMember: ({ node }: Side, request: MemberCommitRequest) => node.groups.commit(request),
  seekGroup: ({ node }: Side, request: SeekGroupRequest) => node.groups.seek(request),
  topicsOfMember: ({ node }: Side, member: MemberRef) => node.groups.topicsOfMember(member),
  describeGroup: ({ node }: Side, group: string) => node.groups.describe(group),
  listGroups: ({ node }: Side) => node.groups.list(),
  deleteGroup: ({ node }: Side, group: string) => node.deleteGroup(group),
  groupsOf: ({ node }: Side, topic: string, names?: readonly string[]) =>
    node.groupsOf(topic, names),
  commitOffset: ({ node }: Side, request: CommitRequest) => node.commitOffset(request),
  deleteBefore: ({ node }: Side, request: PartitionRef & { beforeOffset: number }) =>
    node.deleteBefore(request),
  setRetention: ({ node }: Side, request: RetentionRequest) => node.setRetention(request),
  listRetention: ({ node }: Side) => node.listRetention(),
  kvDeleteNamespace: ({ node }: Side, request: KvDeleteNamespaceRequest) =>
    node.kvDeleteNamespace(request),
  kvDelete: ({ node }: Side, request: KvDeleteRequest) => node.kvDelete(request),
  kvList: ({ node }: Side, request: KvListRequest) => node.kvList(request),
  kvNamespaces: ({ node }: Side) => node.kvNamespaces(),
  lastSyncedIndex: ({ node }: Side) => node.lastSyncedIndex(),
  compact: ({ node }: Side) => node.compact(),
  beginBackup: async ({ node, backups, id }: Side) => {
    const begun = await node.beginBackup();
    if (!begun.ok) return begun;
    const { index, term, bytes } = begun.backup;
    backups.set(id, begun.backup);
    return { ok: true, handle: id, index, term, bytes } as const;
  },
  nextOfBackup: ({ backups }: Side, handle: number) => backups.get(handle)?.next() ?? null,
  releaseBackup: async ({ backups }: Side, handle: number) => {
    await backups.get(handle)?.release();
    backups.delete(handle);
  },
  membership: ({ cluster }: Side) => cluster.membership(),
  addMember: ({ cluster }: Side, request: AddMemberRequest) => cluster.addMember(request),
  promoteMember: ({ cluster }: Side, nodeId: string) => cluster.promoteMember(nodeId),
  removeMember: ({ cluster }: Side, nodeId: string) => cluster.removeMember(nodeId),
  transferLeadership: ({ cluster }: Side, nodeId: string | null) =>
    cluster.transferLeadership(nodeId),
  putView: ({ streams }: Side, name: string, body: string) => streams.putView(name, body),
  deleteView: ({ streams }: Side, name: string) => streams.deleteView(name),
  listViews: ({ streams }: Side) => streams.listViews(),
  topicOfView: ({ streams }: Side, name: string) => streams.topicOfView(name),
  defineQueue: ({ queues }: Side, name: string, definition: QueueDefinition) =>
    queues.define(name, definition),
  deleteQueue: ({ queues }: Side, name: string) => queues.deleteQueue(name),
  purgeQueue: ({ queues }: Side, name: string) => queues.purge(name),
  receiveNow: ({ queues }: Side, request: Omit<ReceiveRequest, "signal">) =>
    queues.receive({ ...request, signal: null }).then(detached),
  settleMessages: ({ queues }: Side, request: SettleRequest) => queues.settle(request),
  rejectMessages: ({ queues }: Side, request: RejectRequest) => queues.reject(request),
  redrive: ({ queues }: Side, request: RedriveRequest) => queues.redrive(request),
  stopRedrive: ({ queues }: Side, name: string) => queues.stopRedrive(name),
  listQueues: ({ queues }: Side) => queues.listQueues(),
  describeQueue: ({ queues }: Side, name: string) => queues.describeQueue(name),
  topicsOfQueue: ({ queues }: Side, name: string) => queues.topicsOfQueue(name),
  hasTopic: ({ queues }: Side, name: string) => queues.hasTopic(name),
  schedule: ({ later }: Side, request: ScheduleRequest) => later.schedule(request),
  deleteScheduled: ({ later }: Side, id: number) => later.deleteScheduled(id),
  listScheduled: ({ later }: Side, request: ListScheduledRequest) => later.listScheduled(request),
  findScheduled: ({ later }: Side, id: number) => later.findScheduled(id),
  putCron: ({ later }: Side, name: string, cron: CronRequest) => later.putCron(name, cron),
  deleteCron: ({ later }: Side, name: string) => later.deleteCron(name),
  listCrons: ({ later }: Side) => later.listCrons(),
  defineWebhook: ({ webhooks }: Side, name: string, definition: WebhookDefinition) =>
    webhooks.define(name, definition),
  deleteWebhook: ({ webhooks }: Side, name: string) => webhooks.deleteWebhook(name),
  pauseWebhook: ({ webhooks }: Side, name: string) => webhooks.pause(name),
  resumeWebhook: ({ webhooks }: Side, name: string) => webhooks.resume(name),
  rotateSecret: ({ webhooks }: Side, name: string) => webhooks.rotate(name),
  testWebhook: ({ webhooks }: Side, name: string) => webhooks.test(name),
  redriveWebhook: (
    { webhooks }: Side,
    name: string,
    limits: { max: number | null; perSecond: number | null },
  ) => webhooks.redrive(name, limits),
  purgeWebhook: ({ webhooks }: Side, name: string) => webhooks.purge(name),
  webhookDeliveries: ({ webhooks }: Side, name: string) => webhooks.deliveries(name),
  listWebhooks: ({ webhooks }: Side) => webhooks.listWebhooks(),
  describeWebhook: ({ webhooks }: Side, name: string) => webhooks.describeWebhook(name),
  topicsOfWebhook: ({ webhooks }: Side, name: string) => webhooks.topicsOfWebhook(name),
  putExport: ({ exports }: Side, name: string, definition: ExportDefinition) =>
    exports.putExport(name, definition),
  deleteExport: ({ exports }: Side, name: string) => exports.deleteExport(name),
  pauseExport: ({ exports }: Side, name: string, paused: boolean) =>
    exports.pauseExport(name, paused),
  flushExport: ({ exports }: Side, name: string) => exports.flushExport(name),
  listExports: ({ exports }: Side) => exports.listExports(),
  describeExport: ({ exports }: Side, name: string) => exports.describeExport(name),
  topicOfExport: ({ exports }: Side, name: string) => exports.topicOfExport(name),
  createStream: ({ durable }: Side, request: CreateStreamRequest) => durable.createStream(request),
  appendStream: ({ durable }: Side, request: AppendStreamRequest) => durable.appendStream(request),
  deleteStream: ({ durable }: Side, path: string) => durable.deleteStream(path),
  describeStream: ({ durable }: Side, path: string) => durable.describeStream(path),
  readStream: ({ durable }: Side, request: ReadStreamRequest) => durable.readStream(request),
  inspectStream: ({ durable }: Side, path: string) => durable.inspectStream(path),
  listStreams: ({ durable }: Side, request: ListStreamsRequest) => durable.listStreams(request),
  putSubscription: ({ durable }: Side, request: PutSubscriptionRequest) =>
    durable.putSubscription(request),
  describeSubscription: ({ durable }: Side, id: string) => durable.describeSubscription(id),
  listSubscriptions: ({ durable }: Side) => durable.listSubscriptions(),
  deleteSubscription: ({ durable }: Side, id: string) => durable.deleteSubscription(id),
  linkStreams: ({ durable }: Side, request: LinkStreamsRequest) => durable.linkStreams(request),
  claimWake: ({ durable }: Side, id: string, worker: string) => durable.claimWake(id, worker),
  settleWake: ({ durable }: Side, request: SettleWakeRequest) => durable.settleWake(request),
  webhookKeys: ({ durable }: Side) => durable.webhookKeys(),
  ha: ({ samples }: Side) => samples.ha(),
  partitionSizes: ({ samples }: Side) => samples.partitionSizes(),
  groupLags: ({ samples }: Side) => samples.groupLags(),
  viewLags: ({ samples }: Side) => samples.viewLags(),
  work: ({ samples }: Side) => samples.work(),
  threads: ({ samples }: Side) => samples.threads(),
};

export const SIGNALLED_CALLS = {
  waitForRecords: ({ node }: Side, signal: AbortSignal, wait: Omit<RecordWait, "signal">) =>
    node.waitForRecords({ ...wait, signal }),
  receive: ({ queues }: Side, signal: AbortSignal, request: Omit<ReceiveRequest, "signal">) =>
    queues.receive({ ...request, signal: () => signal }).then(detached),
  readMember: ({ node }: Side, signal: AbortSignal, request: Omit<MemberReadRequest, "signal">) =>
    node.groups.read({ ...request, signal }),
  waitForStream: ({ durable }: Side, signal: AbortSignal, wait: Omit<StreamWait, "signal">) =>
    durable.waitForStream({ ...wait, signal }),
  query: ({ streams }: Side, signal: AbortSignal, request: Omit<StreamRequest, "signal">) =>
    streams.query({ ...request, signal }),
  join: ({ streams }: Side, signal: AbortSignal, request: Omit<JoinApiRequest, "signal">) =>
    streams.join({ ...request, signal }),
  getView: ({ streams }: Side, signal: AbortSignal, name: string) => streams.getView(name, signal),
};

export type CallName = keyof typeof CALLS;
export type SignalledName = keyof typeof SIGNALLED_CALLS;
type Rest<F> = F extends (side: Side, ...rest: infer A) => unknown ? A : never;
type RestSignalled<F> = F extends (side: Side, signal: AbortSignal, ...rest: infer A) => unknown
  ? A
  : never;
export type CallArguments<N extends CallName> = Rest<(typeof CALLS)[N]>;
export type CallOutcome<N extends CallName> = Awaited<ReturnType<(typeof CALLS)[N]>>;
export type SignalledArguments<N extends SignalledName> = RestSignalled<
  (typeof SIGNALLED_CALLS)[N]
>;
export type SignalledOutcome<N extends SignalledName> = Awaited<
  ReturnType<(typeof SIGNALLED_CALLS)[N]>
>;
/** The table as the node's side uses it. The kind of the item determines the arguments. */
export type AnyCall = (side: Side, ...rest: readonly unknown[]) => unknown;
