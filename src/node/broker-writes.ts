import type { BrokerLimits, PartitionState } from "../broker/state.ts";
import {
  encodeCommitOffset,
  encodeConfigure,
  encodeCreateTopic,
  encodeDeleteBefore,
  encodeDeleteTopic,
  encodeSetRetention,
} from "../machine/command-codec.ts";
import type { Machine } from "../machine/machine.ts";
import type { Offset } from "../record/offset.ts";
import { OffsetTrimmed, PartitionDamaged } from "../storage/partition-damaged.ts";
import type {
  CommitReject,
  CommitRequest,
  CreateTopicReject,
  DeleteBeforeReject,
  Deleted,
  PartitionRef,
  Rejected,
  Result,
  RetentionReject,
  RetentionRequest,
  TopicShape,
  WriteReject,
} from "./api.ts";
import type { Commander } from "./commander.ts";
import { type Found, findPartition } from "./find-partition.ts";
import { handleOf } from "./partition-handle.ts";

const SMALL_COMMAND_BYTES = 512;

/** Topics, committed offsets, deletion and retention: every write of the broker but records. */
export class BrokerWrites {
  readonly #machine: Machine;
  readonly #commander: Commander;

  constructor(machine: Machine, commander: Commander) {
    this.#machine = machine;
    this.#commander = commander;
  }

  /** The limits of this leader become those of all, if they differ. */
  configure(limits: BrokerLimits): void {
    const present = this.#machine.broker.limits;
    const same =
      present.dedupeWindowMs === limits.dedupeWindowMs &&
      present.dedupeKeysMax === limits.dedupeKeysMax &&
      present.partitionsMax === limits.partitionsMax;
    if (!same) this.#commander.housekeep((writer) => encodeConfigure(writer, limits));
  }

  createTopic(topic: string, partitions: number): Promise<Result<TopicShape, CreateTopicReject>> {
    return this.#commander.run({
      type: "create_topic",
      bytes: SMALL_COMMAND_BYTES,
      encode: (writer) => encodeCreateTopic(writer, topic, partitions),
      done: (result) => ({ ok: true, topic, partitions: result.partitions }),
    });
  }

  deleteTopic(topic: string): Promise<Result<object, WriteReject | "topic_not_found">> {
    return this.#commander.run({
      type: "delete_topic",
      bytes: SMALL_COMMAND_BYTES,
      encode: (writer) => encodeDeleteTopic(writer, topic),
      done: () => ({ ok: true }),
    });
  }

  async commitOffset(
    request: CommitRequest,
  ): Promise<Result<{ committedOffset: number }, CommitReject>> {
    const found = await this.#find(request);
    if (!found.ok) return found;
    const { topic, partition } = found;
    return await this.#commander.run({
      type: "commit_offset",
      bytes: SMALL_COMMAND_BYTES,
      encode: (writer) =>
        encodeCommitOffset(writer, {
          topicId: topic.topicId,
          partition: partition.partition,
          group: request.group,
          offset: request.offset as Offset,
        }),
      done: (result) => ({ ok: true, committedOffset: result.committedOffset }),
    });
  }

  async deleteBefore(
    request: PartitionRef & { beforeOffset: number },
  ): Promise<Result<Deleted, DeleteBeforeReject>> {
    const found = await this.#find(request);
    if (!found.ok) return found;
    const { topic, partition } = found;
    const beforeOffset = request.beforeOffset as Offset;
    if (beforeOffset > partition.endOffset) {
      return {
        ok: false,
        code: "offset_out_of_range",
        details: { end_offset: partition.endOffset },
      };
    }
    const bytesBefore = await bytesBelow(partition, beforeOffset);
    if (bytesBefore === null) return { ok: false, code: "data_damaged" };
    return this.#commander.run({
      type: "delete_before",
      bytes: SMALL_COMMAND_BYTES,
      encode: (writer) =>
        encodeDeleteBefore(writer, {
          topicId: topic.topicId,
          partition: partition.partition,
          beforeOffset,
          bytesBefore,
        }),
      done: ({ deletedCount, freedBytes }) => ({ ok: true, deletedCount, freedBytes }),
    });
  }

  setRetention(request: RetentionRequest): Promise<Result<object, RetentionReject>> {
    return this.#commander.run({
      type: "set_retention",
      bytes: SMALL_COMMAND_BYTES,
      encode: (writer) => encodeSetRetention(writer, request),
      done: () => ({ ok: true }),
    });
  }

  async #find(ref: PartitionRef): Promise<Found | Rejected<WriteReject>> {
    const refusal = await this.#commander.whenCurrent();
    return refusal === null ? findPartition(this.#machine, ref) : { ok: false, code: refusal };
  }
}

/** @returns null if what has to be read for that is damaged and no peer has brought it back in time. */
async function bytesBelow(partition: PartitionState, offset: Offset): Promise<number | null> {
  // What lies below the low watermark may be gone from the disk: it frees nothing.
  if (offset <= partition.lowWatermark) return partition.bytesBelowLow;
  try {
    return await handleOf(partition).log.bytesBefore(offset);
  } catch (error) {
    // Trimmed while we looked.
    if (error instanceof OffsetTrimmed) return partition.bytesBelowLow;
    if (error instanceof PartitionDamaged) return null;
    throw error;
  }
}
