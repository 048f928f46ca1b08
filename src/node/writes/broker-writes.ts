import { changeRetention } from "../../broker/commands/change-retention.ts";
import { configure } from "../../broker/commands/configure.ts";
import { deleteBefore } from "../../broker/commands/delete-before.ts";
import { setRetention } from "../../broker/commands/set-retention.ts";
import { keysPerPartition } from "../../broker/key-bound.ts";
import type { BrokerLimits, PartitionState } from "../../broker/state.ts";
import {
  commitOffset,
  createTopic,
  deleteGroup,
  deleteTopic,
} from "../../groups/broker-commands.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Offset } from "../../record/offset.ts";
import { OffsetTrimmed, PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type {
  CommitReject,
  CommitRequest,
  Committed,
  CreateTopicReject,
  DeleteBeforeReject,
  Deleted,
  DeleteGroupReject,
  PartitionRef,
  Rejected,
  Result,
  RetentionReject,
  RetentionRequest,
  TopicShape,
  WriteReject,
} from "../api.ts";
import { handleOf } from "../partition-handle.ts";
import { type Found, findPartition } from "../reads/find-partition.ts";
import type { StorageOptions } from "../recovery/options.ts";
import type { Commander } from "./commander.ts";
import { hasManyPartitions, SHARED_FILES_LEVEL } from "./shared-files.ts";

const SMALL_COMMAND_BYTES = 512;

export type BrokerWriteLimits = {
  readonly limits: BrokerLimits;
  readonly dedupeKeysTotal: number;
  readonly groupsMax: number;
  readonly offsetsMax: number;
  readonly storage: Pick<StorageOptions, "shareFrom">;
};

/** Topics, committed offsets, deletion and retention: every write of the broker except records. */
export class BrokerWrites {
  readonly #machine: Machine;
  readonly #commander: Commander;
  readonly #limits: BrokerWriteLimits;

  constructor(machine: Machine, commander: Commander, limits: BrokerWriteLimits) {
    this.#machine = machine;
    this.#commander = commander;
    this.#limits = limits;
  }

  /**
   * Proposes the limits of this leader for all nodes, if they differ. The limit of idempotency keys
   * per partition is lower than its setting while all partitions together have too many keys. With
   * many partitions, the small ones shall share files.
   */
  configure(): void {
    const { broker, level } = this.#machine;
    const { limits, dedupeKeysTotal, storage } = this.#limits;
    if (level < SHARED_FILES_LEVEL && hasManyPartitions(this.#machine, storage.shareFrom)) {
      this.#commander.raiseLevel(SHARED_FILES_LEVEL);
    }
    const present = broker.limits;
    const dedupeKeysMax = keysPerPartition(broker, limits.dedupeKeysMax, dedupeKeysTotal);
    const same =
      present.dedupeWindowMs === limits.dedupeWindowMs &&
      present.dedupeKeysMax === dedupeKeysMax &&
      present.partitionsMax === limits.partitionsMax;
    if (same) return;
    const { dedupeWindowMs, partitionsMax } = limits;
    this.#commander.housekeep(configure, { dedupeWindowMs, dedupeKeysMax, partitionsMax });
  }

  createTopic(topic: string, partitions: number): Promise<Result<TopicShape, CreateTopicReject>> {
    return this.#commander.run({
      kind: createTopic,
      fields: { name: topic, partitions },
      bytes: SMALL_COMMAND_BYTES,
      done: (result) => ({ ok: true, topic, partitions: result.partitions }),
    });
  }

  deleteTopic(topic: string): Promise<Result<object, WriteReject | "topic_not_found">> {
    return this.#commander.run({
      kind: deleteTopic,
      fields: { name: topic },
      bytes: SMALL_COMMAND_BYTES,
      done: () => ({ ok: true }),
    });
  }

  /** An offset beyond the end is lowered to the end, so that a commit never skips a record. */
  async commitOffset(request: CommitRequest): Promise<Result<Committed, CommitReject>> {
    const found = await this.#findUpTo(request, request.offset);
    if (!found.ok) return found;
    // Checked here and not at apply: it protects memory, and all versions must apply the same.
    const { groups, committedOffsets } = this.#machine.broker;
    const { groupsMax, offsetsMax } = this.#limits;
    const isKnown =
      groups.has(request.group) || this.#machine.parts.groups.byName.has(request.group);
    if (groups.size >= groupsMax && !isKnown) {
      return { ok: false, code: "too_many_groups", details: { groupsMax } };
    }
    if (committedOffsets >= offsetsMax && !found.partition.committed.has(request.group)) {
      return { ok: false, code: "too_many_offsets", details: { offsetsMax } };
    }
    const { topic, partition } = found;
    const { endOffset } = partition;
    const offset = Math.min(request.offset, endOffset) as Offset;
    const clamped = request.offset > endOffset;
    return await this.#commander.run({
      kind: commitOffset,
      fields: {
        topicId: topic.topicId,
        partition: partition.partition,
        group: request.group,
        offset,
      },
      bytes: SMALL_COMMAND_BYTES,
      done: ({ committedOffset }) => ({ ok: true, committedOffset, clamped }),
    });
  }

  deleteGroup(
    group: string,
  ): Promise<Result<{ offsets: number; members: number }, DeleteGroupReject>> {
    return this.#commander.run({
      kind: deleteGroup,
      fields: { group },
      bytes: SMALL_COMMAND_BYTES,
      done: ({ offsets, members }) => ({ ok: true, offsets, members }),
    });
  }

  async deleteBefore(
    request: PartitionRef & { beforeOffset: number },
  ): Promise<Result<Deleted, DeleteBeforeReject>> {
    const found = await this.#findUpTo(request, request.beforeOffset);
    if (!found.ok) return found;
    const { topic, partition } = found;
    const { endOffset } = partition;
    const beforeOffset = Math.min(request.beforeOffset, endOffset) as Offset;
    const clamped = request.beforeOffset > endOffset;
    const bytesBefore = await bytesBelow(partition, beforeOffset);
    if (bytesBefore === null) return { ok: false, code: "data_damaged" };
    return this.#commander.run({
      kind: deleteBefore,
      fields: {
        topicId: topic.topicId,
        partition: partition.partition,
        beforeOffset,
        bytesBefore,
      },
      bytes: SMALL_COMMAND_BYTES,
      done: ({ deletedCount, freedBytes }) => ({ ok: true, deletedCount, freedBytes, clamped }),
    });
  }

  /** Uses the command that earlier versions know, unless a limit is removed. */
  setRetention(request: RetentionRequest): Promise<Result<object, RetentionReject>> {
    const { topic, partition, ttlMs, maxBytes } = request;
    const common = { bytes: SMALL_COMMAND_BYTES, done: () => ({ ok: true }) as const };
    if (ttlMs !== "inherit" && maxBytes !== "inherit") {
      const fields = { topic, partition, ttlMs, maxBytes };
      return this.#commander.run({ kind: setRetention, fields, ...common });
    }
    const fields = {
      topic,
      partition,
      ttlMs: ttlMs ?? "keep",
      maxBytes: maxBytes ?? "keep",
    } as const;
    return this.#commander.run({ kind: changeRetention, fields, ...common });
  }

  /** Returns the end as committed at the call: a follower may have applied more than this leader. */
  async #findUpTo(ref: PartitionRef, offset: number): Promise<Found | Rejected<WriteReject>> {
    const found = await this.#find(ref);
    if (!found.ok || offset <= found.partition.endOffset) return found;
    const outcome = await this.#commander.confirm();
    return outcome === "ok" ? findPartition(this.#machine, ref) : { ok: false, code: outcome };
  }

  async #find(ref: PartitionRef): Promise<Found | Rejected<WriteReject>> {
    const refusal = await this.#commander.whenCurrent();
    return refusal === null ? findPartition(this.#machine, ref) : { ok: false, code: refusal };
  }
}

/** @returns null if records that it has to read are damaged and no peer has restored them in time. */
async function bytesBelow(partition: PartitionState, offset: Offset): Promise<number | null> {
  // Records below the low watermark may already be deleted from the disk, so they free no space.
  if (offset <= partition.lowWatermark) return partition.bytesBelowLow;
  try {
    return await handleOf(partition).log.bytesBefore(offset);
  } catch (error) {
    // The partition was trimmed during the read.
    if (error instanceof OffsetTrimmed) return partition.bytesBelowLow;
    if (error instanceof PartitionDamaged) return null;
    throw error;
  }
}
