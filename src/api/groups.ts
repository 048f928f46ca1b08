/** Consumer groups and their committed offsets. */
import { Type as t } from "@sinclair/typebox";
import {
  clamped,
  committedOffset,
  GROUP_PATTERN,
  group,
  NAME_PATTERN,
  natural,
  ok,
  partition,
  topic,
  type Wire,
} from "./common.ts";
import { MESSAGE } from "./consume.ts";

export const COMMIT_BODY = t.Object({
  topic,
  group,
  partition,
  offset: natural("The next offset to read, so: next_offset of the page that was worked off"),
});
export type CommitBody = Wire<typeof COMMIT_BODY>;
export const COMMITTED = t.Object({
  ok,
  committed_offset: committedOffset("The offset that the group now has"),
  clamped,
});
export type Committed = Wire<typeof COMMITTED>;

/** Members and their partitions. */

export const MEMBER_TOPICS_MAX = 100;
export const COMMIT_OFFSETS_MAX = 10_000;
export const LEASE_MS_DEFAULT = 30_000;

const member = t.String({ pattern: GROUP_PATTERN, description: "Name of the member" });
const place = { topic, partition };
const generation = natural("Fences commits of former owners: send it with a commit");
const leaseUntil = natural("The lease ends then, in milliseconds since 1970 of the cluster's time");
const owned = t.Object({
  ...place,
  generation,
  next_offset: natural("The offset of the next read"),
});
export type OwnedPartition = Wire<typeof owned>;

export const JOIN_GROUP_BODY = t.Object({
  topics: t.Array(topic, { minItems: 1, maxItems: MEMBER_TOPICS_MAX }),
  member: t.Optional(
    t.String({ pattern: GROUP_PATTERN, description: "Default: a name that is not used yet" }),
  ),
  lease_ms: t.Optional(
    natural("The member leaves if nothing comes from it for this long; default 30000", {
      minimum: 1_000,
      maximum: 600_000,
    }),
  ),
});
export type JoinGroupBody = Wire<typeof JOIN_GROUP_BODY>;
export const GROUP_JOINED = t.Object({
  ok,
  member,
  lease_until_ms: leaseUntil,
  assigned: t.Array(owned),
});
export type GroupJoined = Wire<typeof GROUP_JOINED>;

export const GROUP_MESSAGES_QUERY = t.Object({
  member: t.Optional(t.String({ description: "Required: the member that reads" })),
  limit: t.Optional(natural("Default 100; above 1000 counts as 1000", { minimum: 1 })),
  max_bytes: t.Optional(natural("Bytes of keys, values and headers; default and most 4194304")),
  wait_ms: t.Optional(natural("Wait for a record if there is none", { maximum: 60_000 })),
  encoding: t.Optional(t.Literal("b64", { description: "b64: values and keys in base64" })),
});
export const GROUP_MESSAGE = t.Object({ topic, ...MESSAGE.properties });
export type GroupMessage = Wire<typeof GROUP_MESSAGE>;
export const GROUP_PAGE = t.Object({
  messages: t.Array(GROUP_MESSAGE),
  count: natural("Messages on this page"),
  positions: t.Array(owned, {
    description: "Commit them when the page is worked off; they include each revoked partition",
  }),
  assigned: t.Array(owned, { description: "The partitions of the member" }),
  revoked: t.Array(t.Object(place), {
    description: "Partitions that go to another member after the next commit of their positions",
  }),
  lease_until_ms: leaseUntil,
});
export type GroupPage = Wire<typeof GROUP_PAGE>;

export const MEMBER_COMMIT_BODY = t.Object({
  member,
  offsets: t.Array(t.Object({ ...place, generation, offset: natural("The next offset to read") }), {
    maxItems: COMMIT_OFFSETS_MAX,
  }),
});
export type MemberCommitBody = Wire<typeof MEMBER_COMMIT_BODY>;
export const MEMBER_COMMITTED = t.Object({
  ok,
  results: t.Array(
    t.Union([
      t.Object({
        ...place,
        ok,
        committed_offset: natural("The offset that the group now has"),
        clamped,
      }),
      t.Object({
        ...place,
        ok: t.Literal(false),
        error: t.Union([
          t.Literal("fenced"),
          t.Literal("topic_not_found"),
          t.Literal("partition_not_found"),
        ]),
        owner: t.Optional(t.String({ description: "The member that owns the partition" })),
      }),
    ]),
    { description: "One for each offset, in the same order" },
  ),
  lease_until_ms: leaseUntil,
});
export type MemberCommitted = Wire<typeof MEMBER_COMMITTED>;

export const LEAVE_GROUP_BODY = t.Object({ member });
export type LeaveGroupBody = Wire<typeof LEAVE_GROUP_BODY>;
export const GROUP_LEFT = t.Object({ ok, group: t.String(), member });
export type GroupLeft = Wire<typeof GROUP_LEFT>;

export const SEEK_BODY = t.Object({
  topic: t.Optional(
    t.String({ pattern: NAME_PATTERN, description: "Default: all topics of the group" }),
  ),
  partition: t.Optional(natural("Default: all partitions; needs a topic")),
  to: t.Union([
    t.Literal("earliest"),
    t.Literal("latest"),
    t.Object({ time_ms: natural("The first record that is not older") }),
    t.Object({ offset: natural("The next offset to read") }),
  ]),
});
export type SeekBody = Wire<typeof SEEK_BODY>;
export const SOUGHT = t.Object({
  ok,
  group: t.String(),
  offsets: t.Array(
    t.Object({
      ...place,
      committed_offset: natural("The offset that the group now has"),
      clamped,
    }),
  ),
});
export type Sought = Wire<typeof SOUGHT>;

export const GROUP_LIST = t.Object({
  ok,
  groups: t.Array(
    t.Object({
      group: t.String(),
      topics: natural("Topics that it has joined or committed in"),
      partitions: natural("Partitions of these topics"),
      members: natural("Members that share these topics"),
      lag: natural("Records that are kept and not worked off, of all partitions"),
    }),
  ),
});
export type GroupList = Wire<typeof GROUP_LIST>;
export const GROUP_DESCRIBED = t.Object({
  ok,
  group: t.String(),
  members: t.Array(
    t.Object({
      member,
      lease_until_ms: leaseUntil,
      lease_ms: natural("Length of the lease"),
      topics: t.Array(t.String()),
      partitions: natural("Number of partitions that it owns"),
    }),
  ),
  partitions: t.Array(
    t.Object({
      ...place,
      owner: t.Union([t.String(), t.Null()]),
      next: t.Optional(t.String({ description: "The member that waits for the partition" })),
      generation: natural("0: it never had an owner"),
      committed_offset: committedOffset("The next offset to read; null before the first commit"),
      lag: natural("Records that are kept and not worked off"),
      lag_seconds: t.Union([t.Number(), t.Null()], {
        description: "Age of the first of them; 0 without one",
      }),
    }),
  ),
  lag: natural("The sum over all partitions"),
});
export type GroupDescribed = Wire<typeof GROUP_DESCRIBED>;
export const GROUP_DELETED = t.Object({
  ok,
  group: t.String(),
  deleted: ok,
  offsets: natural("Committed offsets that were forgotten"),
  members: natural("Members that were removed"),
});
export type GroupDeleted = Wire<typeof GROUP_DELETED>;
