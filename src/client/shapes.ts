/** Shapes of the answers that the client uses. Fields that are only passed on may be absent. */
import type { Compacted, SealedStatus } from "../api/admin.ts";
import type { Member, Membership, Transferred } from "../api/cluster.ts";
import type { Page, Message as WireMessage } from "../api/consume.ts";
import type {
  Committed,
  GroupDeleted,
  GroupDescribed,
  GroupJoined,
  GroupLeft,
  GroupList,
  GroupMessage,
  GroupPage,
  MemberCommitted,
  OwnedPartition,
  Sought,
} from "../api/groups.ts";
import type {
  KvDeleted,
  KvList,
  KvListed,
  KvMeta,
  KvNamespaceDeleted,
  KvNamespaces,
  KvWritten,
} from "../api/kv.ts";
import type { Produced, ProducedBatch, ScheduledAnswer } from "../api/produce.ts";
import type { ProducerEntry, ProducerForgotten, ProducerList } from "../api/producers.ts";
import type { Joined, Queried, View, ViewList, ViewPut } from "../api/queries.ts";
import type { Deleted, RetentionList, RetentionPolicy } from "../api/retention.ts";
import type {
  GroupLag,
  OffsetsAt,
  Partition,
  TopicCreated,
  TopicDescribed,
  TopicList,
  TopicSummary,
} from "../api/topics.ts";
import {
  anything,
  fields,
  flag,
  integer,
  list,
  number,
  optional,
  orNull,
  record,
  text,
} from "./shape.ts";

export const ACCEPTED = fields<{ readonly ok: boolean }>({ ok: flag });
const produced = { partition: integer, durable: optional(flag), duplicate: optional(flag) };
export const PRODUCED = fields<Produced & { readonly offset: number }>({
  offset: integer,
  ...produced,
});
export const PRODUCED_BATCH = fields<
  ProducedBatch & { readonly first_offset: number; readonly count: number }
>({
  first_offset: integer,
  count: integer,
  ...produced,
});
/** An answer of any route that stores records, to a request with the number of a producer. */
export const STORED = fields<Produced & ProducedBatch>({
  offset: optional(integer),
  first_offset: optional(integer),
  ...produced,
});
export const PRODUCER_LIST = fields<ProducerList>({
  total: integer,
  producers: list(
    fields<ProducerEntry>({
      id: text,
      partition: integer,
      epoch: integer,
      seq: integer,
      offset: integer,
      count: integer,
      last_write_ms: integer,
    }),
  ),
});
export const PRODUCER_FORGOTTEN = fields<ProducerForgotten>({ partitions: integer });
export const SCHEDULED = fields<ScheduledAnswer>({
  schedule_id: text,
  deliver_at_ms: orNull(integer),
  partition: integer,
  duplicate: optional(flag),
});
const messageFields = {
  offset: integer,
  partition: integer,
  timestamp_ms: integer,
  key: optional(text),
  key_b64: optional(text),
  value: optional(text),
  value_b64: optional(text),
  headers: optional(record(text)),
};
const message = fields<WireMessage>(messageFields);
export const PAGE = fields<Page>({
  messages: list(message),
  next_offset: integer,
  end_offset: integer,
  committed_offset: orNull(integer),
});
export const COMMITTED = fields<Committed & { readonly committed_offset: number }>({
  committed_offset: integer,
});
export const DELETED = fields<Deleted>({ deleted_count: integer, freed_bytes: integer });
type GroupListed = Omit<GroupList["groups"][number], "members"> & {
  readonly members: number | undefined;
};
export const GROUP_LIST = fields<{ readonly groups: readonly GroupListed[] }>({
  groups: list(
    fields<GroupListed>({
      group: text,
      topics: integer,
      partitions: integer,
      members: optional(integer),
      lag: integer,
    }),
  ),
});
const owned = fields<OwnedPartition>({
  topic: text,
  partition: integer,
  generation: integer,
  next_offset: integer,
});
export const GROUP_JOINED = fields<GroupJoined>({
  member: text,
  lease_until_ms: integer,
  assigned: list(owned),
});
export const GROUP_PAGE = fields<GroupPage>({
  messages: list(fields<GroupMessage>({ topic: text, ...messageFields })),
  positions: list(owned),
  assigned: list(owned),
  revoked: list(fields<GroupPage["revoked"][number]>({ topic: text, partition: integer })),
  lease_until_ms: integer,
});
type MemberCommit = Pick<MemberCommitted["results"][number], "topic" | "partition"> & {
  readonly ok: boolean;
};
export const MEMBER_COMMITTED = fields<{ readonly results: readonly MemberCommit[] }>({
  results: list(fields<MemberCommit>({ topic: text, partition: integer, ok: flag })),
});
export const GROUP_LEFT = fields<GroupLeft>({ member: text });
export const SOUGHT = fields<Sought>({
  offsets: list(
    fields<Sought["offsets"][number]>({
      topic: text,
      partition: integer,
      committed_offset: integer,
    }),
  ),
});
export const GROUP_DESCRIBED = fields<GroupDescribed>({
  group: text,
  members: list(
    fields<GroupDescribed["members"][number]>({
      member: text,
      lease_until_ms: integer,
      lease_ms: integer,
      topics: list(text),
      partitions: integer,
    }),
  ),
  partitions: list(
    fields<GroupDescribed["partitions"][number]>({
      topic: text,
      partition: integer,
      owner: orNull(text),
      next: optional(text),
      generation: integer,
      committed_offset: orNull(integer),
      lag: integer,
      lag_seconds: orNull(number),
    }),
  ),
  lag: integer,
});
export const GROUP_DELETED = fields<GroupDeleted>({ offsets: integer });
export const TOPIC_CREATED = fields<TopicCreated>({ topic: text, partitions: integer });
export const TOPIC_LIST = fields<TopicList>({
  topics: list(
    fields<TopicSummary>({ topic: text, partitions: integer, messages: integer, bytes: integer }),
  ),
  next: optional(orNull(text)),
});
export const TOPIC_DESCRIBED = fields<TopicDescribed>({
  topic: text,
  partitions: list(
    fields<Partition>({
      partition: integer,
      low_watermark: integer,
      end_offset: integer,
      bytes: integer,
    }),
  ),
  groups: list(
    fields<GroupLag>({
      group: text,
      partition: integer,
      committed_offset: orNull(integer),
      lag: integer,
    }),
  ),
});
export const OFFSETS_AT = fields<OffsetsAt>({
  offsets: list(
    fields<OffsetsAt["offsets"][number]>({
      partition: integer,
      offset: integer,
      timestamp_ms: orNull(integer),
    }),
  ),
});
export const RETENTION_LIST = fields<RetentionList>({
  policies: list(fields<RetentionPolicy>({ topic: text })),
});
export const KV_WRITTEN = fields<KvWritten>({ cas: integer });
export const KV_DELETED = fields<KvDeleted>({ deleted: flag });
export const KV_META = fields<KvMeta>({ cas: integer, ttl_ms: integer, bytes: integer });
export const KV_LIST = fields<KvList>({
  keys: list(fields<KvListed>({ key: text, cas: integer, ttl_ms: integer, bytes: integer })),
  next: orNull(text),
});
export const KV_NAMESPACES = fields<KvNamespaces>({
  namespaces: list(
    fields<KvNamespaces["namespaces"][number]>({ namespace: text, revision: integer }),
  ),
});
export const KV_NAMESPACE_DELETED = fields<KvNamespaceDeleted>({
  deleted: flag,
  keys: integer,
  bytes: integer,
});
export const QUERIED = fields<Queried>({
  rows: list(anything),
  aggregates: list(fields<Queried["aggregates"][number]>({})),
});
export const JOINED = fields<Joined>({
  rows: list(fields<Joined["rows"][number]>({})),
  stats: fields<Joined["stats"]>({}),
});
export const VIEWED = fields<View>({
  view: text,
  aggregates: list(fields<View["aggregates"][number]>({})),
  lag: integer,
});
export const VIEW_CREATED = fields<ViewPut>({ created: flag });
export const VIEW_LIST = fields<ViewList>({
  views: list(fields<ViewList["views"][number]>({ view: text, topic: text, lag: integer })),
});
export const MEMBERSHIP = fields<Membership>({
  membership: fields<Membership["membership"]>({
    leader_id: orNull(text),
    term: integer,
    nodes: list(
      fields<Member>({ node_id: text, http_addr: text, advertise_addr: text, role: text }),
    ),
  }),
});
export const TRANSFERRED = fields<Transferred>({ target: text });
export const COMPACTED = fields<Compacted>({ checkpoint_index: integer, freed_bytes: integer });
export const SEALED_STATUS = fields<SealedStatus>({ last_synced_batch_id: integer });
