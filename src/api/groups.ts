/** Consumer groups and their committed offsets. */
import { Type as t } from "@sinclair/typebox";
import {
  clamped,
  committedOffset,
  group,
  natural,
  ok,
  partition,
  topic,
  type Wire,
} from "./common.ts";

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
const position = {
  topic,
  partition,
  committed_offset: committedOffset("The next offset to read"),
  lag: natural("Records that are kept and not read yet"),
};
export const GROUP_LIST = t.Object({
  ok,
  groups: t.Array(
    t.Object({
      group: t.String(),
      topics: natural("Topics in which it has committed"),
      partitions: natural("Partitions in which it has committed"),
      lag: natural("Records that are kept and not read yet, of all of them"),
    }),
  ),
});
export type GroupList = Wire<typeof GROUP_LIST>;
export const GROUP_DESCRIBED = t.Object({
  ok,
  group: t.String(),
  partitions: t.Array(t.Object(position)),
});
export type GroupDescribed = Wire<typeof GROUP_DESCRIBED>;
export const GROUP_DELETED = t.Object({
  ok,
  group: t.String(),
  deleted: ok,
  offsets: natural("Committed offsets that were forgotten"),
});
export type GroupDeleted = Wire<typeof GROUP_DELETED>;
