/** Retention policies, and deletion of records. */
import { Type as t } from "@sinclair/typebox";
import { clamped, NAME_PATTERN, natural, ok, partition, topic, type Wire } from "./common.ts";

export const DELETE_BEFORE_BODY = t.Object({
  topic,
  partition,
  before_offset: natural("First offset that is kept"),
});
export type DeleteBeforeBody = Wire<typeof DELETE_BEFORE_BODY>;
export const DELETED = t.Object({
  ok,
  deleted_count: natural("Number of deleted records"),
  freed_bytes: natural("Bytes of their keys and values"),
  clamped,
});
export type Deleted = Wire<typeof DELETED>;
/** Absent: unchanged. */
const limit = (what: string) =>
  t.Optional(
    t.Union([
      natural(`${what}; 0 switches it off; null: not set here, the next level applies`),
      t.Null(),
    ]),
  );
export const RETENTION_BODY = t.Object(
  {
    topic: t.String({
      pattern: `${NAME_PATTERN.slice(0, -1)}$|^\\*$`,
      description: 'Topic name, or "*" for every topic, also later ones',
    }),
    partition: t.Optional(partition),
    ttl_ms: limit("Age in milliseconds after which records go"),
    max_bytes: limit("Keys and values kept per partition"),
  },
  { additionalProperties: false },
);
export type RetentionBody = Wire<typeof RETENTION_BODY>;
export const RETENTION_SET = t.Object({ ok, ttl_applied: t.Boolean(), size_applied: t.Boolean() });
export type RetentionSet = Wire<typeof RETENTION_SET>;
const policyValue = t.Union([natural("Null: not set"), t.Null()]);
const RETENTION_POLICY = t.Object({
  topic,
  partition: policyValue,
  ttl_ms: policyValue,
  max_bytes: policyValue,
});
export type RetentionPolicy = Wire<typeof RETENTION_POLICY>;
export const RETENTION_LIST = t.Object({
  ok,
  policies: t.Array(RETENTION_POLICY),
});
export type RetentionList = Wire<typeof RETENTION_LIST>;
