/** Operations of members that share the partitions of topics. */
import type { Op } from "./operations.ts";

export type Place = { readonly topic: string; readonly partition: number };
/** A partition as a member owns it, and the offset that comes next. */
export type Owned = Place & { readonly generation: number; readonly next: number };
type Member = { readonly group: string; readonly member: string };

export type GroupJoin = Op<
  "group-join",
  Member & { readonly topics: readonly string[]; readonly leaseMs: number },
  { readonly assigned: readonly Owned[] }
>;

export type GroupRead = Op<
  "group-read",
  Member,
  {
    /** Records of one partition, from `first` on without a gap. */
    readonly runs: readonly (Place & {
      readonly first: number;
      readonly values: readonly string[];
    })[];
    readonly positions: readonly Owned[];
    readonly assigned: readonly Owned[];
    readonly revoked: readonly Place[];
  }
>;

export type GroupCommit = Op<
  "group-commit",
  Member & { readonly offsets: readonly Owned[] },
  {
    /** One for each offset: the committed offset in force, or null if it was fenced. */
    readonly committed: readonly (number | null)[];
  }
>;

export type GroupLeave = Op<"group-leave", Member, Record<string, never>>;

export type GroupSeek = Op<
  "group-seek",
  { readonly group: string; readonly topic: string },
  { readonly offsets: readonly (Place & { readonly committed: number })[] }
>;

/** The group was deleted, or a topic of it. From then on nothing is known of their offsets. */
export type GroupReset = Op<
  "group-reset",
  { readonly group: string | null; readonly topic: string | null },
  Record<string, never>
>;

/** A group as one node describes it. */
export type GroupShow = Op<
  "group-show",
  {
    readonly group: string;
    /** The members that are left at the end of the run; null during the run. */
    readonly living: readonly string[] | null;
  },
  {
    readonly partitions: readonly (Place & {
      readonly owner: string | null;
      /** The member that the owner has to give the partition up for. */
      readonly next: string | null;
      readonly generation: number;
      readonly committed: number | null;
    })[];
  }
>;

/** From the last sign of life of a member to the first look that shows others in its place. */
export type GroupTakeover = Op<
  "group-takeover",
  Member & { readonly msMax: number },
  Record<string, never>
>;

export type GroupOperation =
  | GroupJoin
  | GroupRead
  | GroupCommit
  | GroupLeave
  | GroupSeek
  | GroupReset
  | GroupShow
  | GroupTakeover;
