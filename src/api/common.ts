/** Parts that the bodies of several routes share. */
import { type Static, type TSchema, Type as t } from "@sinclair/typebox";

/**
 * The type of a body, from its schema. It is deeply read-only, so that both new objects and parts of
 * the node's results can be sent.
 */
export type Wire<S extends TSchema> = DeepReadonly<Static<S>>;
type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Name in keyof T]: DeepReadonly<T[Name]> }
    : T;

/** Pattern of topics and namespaces in a schema. The names `.` and `..` are rejected separately. */
export const NAME_PATTERN = "^[A-Za-z0-9._-]{1,249}$";
export const GROUP_PATTERN = "^[A-Za-z0-9._:-]{1,249}$";

/** An integer from 0, or from `minimum`, that a `number` holds exactly. */
export const natural = (description: string, extra: { minimum?: number; maximum?: number } = {}) =>
  t.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, ...extra, description });

export const topic = t.String({ pattern: NAME_PATTERN, description: "Topic name" });
export const group = t.String({ pattern: GROUP_PATTERN, description: "Consumer group" });
export const partition = natural("Partition, counted from 0");
/** Null: the group has committed nothing, which only `RF_COMPAT=ayder` says. */
export const committedOffset = (description: string) => t.Union([natural(description), t.Null()]);
export const ok = t.Literal(true);
export const clamped = t.Optional(
  t.Literal(true, { description: "The offset was beyond the end and counted as the end" }),
);
export const timeoutMs = t.Optional(natural("Wait at most this long for the write concern"));
export const switchOf = (description: string) =>
  t.Union([t.Literal("0"), t.Literal("1")], { description });

/** Fields of every answer to a write. */
export const ack = {
  batch_id: natural("Index of the log entry; 0 in rocket mode"),
  sealed: t.Boolean(),
  durable: t.Boolean(),
  mode: t.Union([t.Literal("sealed"), t.Literal("rocket")]),
  synced: t.Union([t.Boolean(), t.Null()]),
};

export const NO_QUERY = t.Object({});
export const NO_FIELDS_BODY = t.Object({}, { additionalProperties: false });

/** The answer of a change that has nothing to say. */
export const OK = t.Object({ ok });
export type Ok = Wire<typeof OK>;
