import type { LaterApi } from "../api.ts";
import type { Writes } from "../writes/writes.ts";
import type { ForwardedCalls, LocalWrites } from "./forwarded.ts";

/** The writes of this node itself, for the time when it leads and for commands of followers. */
export function localWrites(
  { producer, producers, kv, broker }: Writes,
  later: LaterApi,
): LocalWrites {
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
    },
  };
}

/** Records that are produced later, of which new ones are scheduled by the leader. */
export const laterThroughLeader = (later: LaterApi, calls: () => ForwardedCalls): LaterApi => ({
  schedule: (request) => calls().schedule(request),
  deleteScheduled: (id) => later.deleteScheduled(id),
  listScheduled: (request) => later.listScheduled(request),
  findScheduled: (id) => later.findScheduled(id),
  putCron: (name, cron) => later.putCron(name, cron),
  deleteCron: (name) => later.deleteCron(name),
  listCrons: () => later.listCrons(),
});
