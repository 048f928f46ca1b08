import { forgetProducer } from "../../broker/commands/forget-producer.ts";
import { findTopic } from "../../broker/state.ts";
import type { Machine } from "../../machine/machine.ts";
import type { ProducersApi } from "../api.ts";
import { partitionNotFound } from "../reads/find-partition.ts";
import type { Commander } from "./commander.ts";

const COMMAND_BYTES = 256;

/** Lists and forgets the producers that number their writes. */
export class ProducerAdmin implements ProducersApi {
  readonly #machine: Machine;
  readonly #commander: Commander;

  constructor(machine: Machine, commander: Commander) {
    this.#machine = machine;
    this.#commander = commander;
  }

  readonly list: ProducersApi["list"] = ({ topic: name, partition, id, limit }) => {
    const { broker, parts, now } = this.#machine;
    const topic = findTopic(broker, name);
    if (topic === undefined) return { ok: false, code: "topic_not_found" };
    const { length } = topic.partitions;
    if (partition !== null && partition >= length) return partitionNotFound(partition, length);
    const { topicId } = topic;
    const matches = { topicId, partition, id };
    const producers = parts.producers.latest(matches, limit, now).map((entry) => ({
      id: entry.id,
      partition: entry.partition,
      epoch: entry.epoch,
      seq: entry.seq,
      offset: entry.firstOffset,
      count: entry.count,
      lastWriteMs: entry.at,
    }));
    return { ok: true, producers, total: parts.producers.countOfTopic(topicId, length) };
  };

  readonly forget: ProducersApi["forget"] = async (name, id) => {
    const refusal = await this.#commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const topic = findTopic(this.#machine.broker, name);
    if (topic === undefined) return { ok: false, code: "topic_not_found" };
    return await this.#commander.run({
      kind: forgetProducer,
      fields: { topicId: topic.topicId, id },
      bytes: COMMAND_BYTES,
      done: ({ partitions }) => ({ ok: true, partitions }),
    });
  };
}
