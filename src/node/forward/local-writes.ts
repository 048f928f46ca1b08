import type {
  DurableApi,
  GroupsApi,
  LaterApi,
  MemberPage,
  QueueApi,
  Received,
  Result,
} from "../api.ts";
import type { MemberReadReject } from "../groups-api.ts";
import type { ReceiveReject } from "../queue-api.ts";
import type { Writes } from "../writes/writes.ts";
import type { Leased, MemberPlaces } from "./calls.ts";
import type { LocalWrites } from "./forwarded.ts";

/** The parts of this node that write. */
export type LocalParts = Pick<Writes, "producer" | "producers" | "kv" | "broker"> & {
  readonly later: LaterApi;
  readonly queues: QueueApi;
  readonly groups: GroupsApi;
  readonly durable: DurableApi;
};

/** The writes of this node itself, for the time when it leads and for commands of followers. */
export function localWrites({
  producer,
  producers,
  kv,
  broker,
  later,
  queues,
  groups,
  durable,
}: LocalParts): LocalWrites {
  return {
    produce: (request, done) => producer.produce(request, done),
    kvPut: (request, done) => kv.put(request, done),
    calls: {
      commitOffset: (request) => broker.commitOffset(request),
      createTopic: (topic, partitions) => broker.createTopic(topic, partitions),
      deleteTopic: (topic) => broker.deleteTopic(topic),
      deleteBefore: (request) => broker.deleteBefore(request),
      setRetention: (request) => broker.setRetention(request),
      kvDelete: (request) => kv.delete(request),
      kvDeleteNamespace: (request) => kv.deleteNamespace(request),
      forgetProducer: (topic, id) => producers.forget(topic, id),
      schedule: (request) => later.schedule(request),
      deleteScheduled: (id) => later.deleteScheduled(id),
      deleteCron: (name) => later.deleteCron(name),
      createStream: (request) => durable.createStream(request),
      appendStream: (request) => durable.appendStream(request),
      deleteStream: (path) => durable.deleteStream(path),
      putSubscription: (request) => durable.putSubscription(request),
      deleteSubscription: (id) => durable.deleteSubscription(id),
      linkStreams: (request) => durable.linkStreams(request),
      claimWake: (id, worker) => durable.claimWake(id, worker),
      settleWake: (request) => durable.settleWake(request),
      joinGroup: (request) => groups.join(request),
      leaveGroup: (member) => groups.leave(member),
      commitMember: (request) => groups.commit(request),
      settleMessages: (request) => queues.settle(request),
      rejectMessages: (request) => queues.reject(request),
      redrive: (request) => queues.redrive(request),
      receive: async (request, signal) =>
        leasesOf(await queues.receive({ ...request, signal: () => signal })),
      readMember: async (request, signal) => placesOf(await groups.read({ ...request, signal })),
    },
  };
}

function leasesOf(received: Result<Received, ReceiveReject>): Result<Leased, ReceiveReject> {
  if (!received.ok) return received;
  const messages = received.messages.map(({ partition, offset, attempt, receipt }) => {
    return { partition, offset, attempt, receipt };
  });
  return { ...received, messages };
}

function placesOf(
  page: Result<MemberPage, MemberReadReject>,
): Result<MemberPlaces, MemberReadReject> {
  if (!page.ok) return page;
  return { ...page, records: page.records.map(({ slices: _, ...place }) => place) };
}
