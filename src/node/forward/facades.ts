/** Parts of this node whose writes are executed by the leader, wherever it is. */
import type { DurableApi, GroupsApi, LaterApi, QueueApi } from "../api.ts";
import type { ForwardedCalls, LeaseRequest, PlacesRequest } from "./calls.ts";

/** Where the writes go. */
export type Route = {
  /** True if this node executes its writes itself. */
  readonly isLocal: boolean;
  readonly calls: ForwardedCalls;
};

/** Adds the records to what the leader has answered. */
export type Completed = {
  receive(request: LeaseRequest, signal: AbortSignal): ReturnType<QueueApi["receive"]>;
  readMember(request: PlacesRequest, signal: AbortSignal): ReturnType<GroupsApi["read"]>;
};

/** Records that are produced later. */
export const laterThroughLeader = (later: LaterApi, { calls }: Route): LaterApi => ({
  schedule: (request) => calls.schedule(request),
  deleteScheduled: (id) => calls.deleteScheduled(id),
  deleteCron: (name) => calls.deleteCron(name),
  listScheduled: (request) => later.listScheduled(request),
  findScheduled: (id) => later.findScheduled(id),
  putCron: (name, cron) => later.putCron(name, cron),
  listCrons: () => later.listCrons(),
});

export const queuesThroughLeader = (
  queues: QueueApi,
  route: Route,
  completed: Completed,
): QueueApi => ({
  receive: (request) => {
    if (route.isLocal) return queues.receive(request);
    const { signal, ...lease } = request;
    return completed.receive(lease, signal === null ? NEVER : signal());
  },
  settle: (request) => route.calls.settleMessages(request),
  reject: (request) => route.calls.rejectMessages(request),
  redrive: (request) => route.calls.redrive(request),
  define: (name, definition) => queues.define(name, definition),
  deleteQueue: (name) => queues.deleteQueue(name),
  purge: (name) => queues.purge(name),
  stopRedrive: (name) => queues.stopRedrive(name),
  listQueues: () => queues.listQueues(),
  describeQueue: (name) => queues.describeQueue(name),
  topicsOfQueue: (name) => queues.topicsOfQueue(name),
  hasTopic: (name) => queues.hasTopic(name),
});

export const groupsThroughLeader = (
  groups: GroupsApi,
  route: Route,
  completed: Completed,
): GroupsApi => ({
  join: (request) => route.calls.joinGroup(request),
  read: (request) => {
    if (route.isLocal) return groups.read(request);
    const { signal, ...places } = request;
    return completed.readMember(places, signal);
  },
  commit: (request) => route.calls.commitMember(request),
  leave: (member) => route.calls.leaveGroup(member),
  seek: (request) => groups.seek(request),
  topicsOfMember: (member) => groups.topicsOfMember(member),
  describe: (group) => groups.describe(group),
  list: () => groups.list(),
});

export const durableThroughLeader = (durable: DurableApi, { calls }: Route): DurableApi => ({
  createStream: (request) => calls.createStream(request),
  appendStream: (request) => calls.appendStream(request),
  deleteStream: (path) => calls.deleteStream(path),
  putSubscription: (request) => calls.putSubscription(request),
  deleteSubscription: (id) => calls.deleteSubscription(id),
  linkStreams: (request) => calls.linkStreams(request),
  claimWake: (id, worker) => calls.claimWake(id, worker),
  settleWake: (request) => calls.settleWake(request),
  describeStream: (path) => durable.describeStream(path),
  readStream: (request) => durable.readStream(request),
  waitForStream: (wait) => durable.waitForStream(wait),
  inspectStream: (path) => durable.inspectStream(path),
  listStreams: (request) => durable.listStreams(request),
  describeSubscription: (id) => durable.describeSubscription(id),
  listSubscriptions: () => durable.listSubscriptions(),
  webhookKeys: () => durable.webhookKeys(),
});

/** The signal of a request that does not wait. */
const NEVER = new AbortController().signal;
