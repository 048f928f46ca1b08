import { DEDUPE_CHUNK_ENTRIES, type DedupeChunk } from "../broker/dedupe-chunk.ts";
import type { DedupeCapture } from "../broker/dedupe-table.ts";
import type { BrokerState, LevelPolicy, PartitionState } from "../broker/state.ts";
import type { KvState } from "../kv/state.ts";
import { ByteWriter } from "../lib/bytes.ts";
import { crc32 } from "../lib/crc32.ts";
import type { DigestSink } from "../lib/state-part.ts";
import { sortedMembers } from "./members.ts";
import { namedParts, type StatesByName } from "./parts.ts";
import type { MachineState } from "./state.ts";
import type { ViewsState } from "./views.ts";

const FIRST_KEY = new Uint8Array(0);

/**
 * One number for the whole logical state. It leaves out what may differ between equal states: how
 * keys are spread over buckets, the order of maps, epochs.
 */
export function digestState(state: MachineState): number {
  const digest = new Digest();
  digest.writer.u64(state.now);
  digestBroker(digest, state.broker);
  digestKv(digest, state.kv);
  for (const { id, host, raftPort, httpPort, priority, storageId } of sortedMembers(
    state.members,
  )) {
    digest.writer.text(JSON.stringify([id, host, raftPort, httpPort, priority, storageId]));
  }
  digestViews(digest, state.views);
  digest.writer.u64(state.level);
  const states: StatesByName = state.parts;
  for (const [name, part] of namedParts) part.digest(states[name], digest);
  return digest.finish();
}

function digestViews(digest: Digest, views: ViewsState): void {
  const { writer } = digest;
  writer.u64(views.nextViewId);
  for (const { name, viewId, query, state } of views.byName.values()) {
    writer.u64(viewId);
    writer.text(name);
    writer.text(query);
    writer.u8(state === null ? 0 : 1);
    if (state !== null) writer.blob(state);
    digest.flush();
  }
}

/** CRC of what is written, a piece at a time. */
class Digest implements DigestSink {
  readonly writer = new ByteWriter(1 << 16);
  #crc = 0;

  /** Call it now and then, so that the writer stays small. */
  flush(): void {
    if (this.writer.length < 1 << 15) return;
    this.finish();
  }

  finish(): number {
    this.#crc = crc32(this.writer.view(), this.#crc);
    this.writer.clear();
    return this.#crc;
  }
}

function digestBroker(digest: Digest, broker: BrokerState): void {
  const { writer } = digest;
  const { limits } = broker;
  writer.u64(limits.dedupeWindowMs);
  writer.u64(limits.dedupeKeysMax);
  writer.u64(limits.partitionsMax);
  writer.u64(broker.nextTopicId);
  writer.u64(broker.retentionRevision);
  digestPolicy(writer, broker.policy);
  for (const topic of [...broker.topicsById.values()].sort((a, b) => a.topicId - b.topicId)) {
    writer.u64(topic.topicId);
    writer.text(topic.name);
    writer.u64(topic.partitions.length);
    digestPolicy(writer, topic.policy);
    for (const partition of topic.partitions) digestPartition(digest, partition);
  }
}

function digestPolicy(writer: ByteWriter, policy: LevelPolicy): void {
  writer.text(`${policy.ttlMs} ${policy.maxBytes} ${policy.revision}`);
}

function digestPartition(digest: Digest, partition: PartitionState): void {
  const { writer } = digest;
  writer.u64(partition.lowWatermark);
  writer.u64(partition.endOffset);
  writer.u64(partition.bytesBelowLow);
  writer.u64(partition.bytesEnd);
  digestPolicy(writer, partition.policy);
  writer.u64(partition.committed.size);
  for (const group of [...partition.committed.keys()].sort()) {
    writer.text(group);
    writer.u64(partition.committed.get(group) ?? 0);
    digest.flush();
  }
  writer.u64(partition.dedupe?.size ?? 0);
  if (partition.dedupe !== null) digestDedupe(digest, partition.dedupe.capture());
  digest.flush();
}

function digestDedupe(digest: Digest, { chunks, from, to }: DedupeCapture): void {
  const { writer } = digest;
  for (let i = from; i < to; i++) {
    const chunk = chunks[Math.floor(i / DEDUPE_CHUNK_ENTRIES)] as DedupeChunk;
    chunk.writeEntry(i % DEDUPE_CHUNK_ENTRIES, writer);
    digest.flush();
  }
}

function digestKv(digest: Digest, kv: KvState): void {
  const { writer } = digest;
  writer.u64(kv.nextNamespaceId);
  writer.u64(kv.size);
  writer.u64(kv.bytes);
  for (const namespace of [...kv.namespaces.values()].sort((a, b) => a.id - b.id)) {
    writer.u64(namespace.id);
    writer.text(namespace.name);
    writer.u64(namespace.revision);
    for (const { page, at } of namespace.keys.from(FIRST_KEY)) {
      writer.u64(page.revision(at));
      writer.u64(page.expiresAt(at));
      writer.blob(page.key(at));
      writer.blob(page.value(at));
      digest.flush();
    }
    writer.u64(0);
  }
}
