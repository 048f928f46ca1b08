/** Reads of records. */
import { Type as t } from "@sinclair/typebox";
import { committedOffset, natural, partition, switchOf, type Wire } from "./common.ts";

export const CONSUME_QUERY = t.Object({
  offset: t.Optional(natural("First offset; absent: the committed one, else the first kept one")),
  limit: t.Optional(natural("Default 100; above 1000 counts as 1000", { minimum: 1 })),
  encoding: t.Optional(t.Literal("b64", { description: "b64: values and keys in base64" })),
  max_bytes: t.Optional(natural("Keys and values on a page; default 4194304")),
  consistency: t.Optional(t.Union([t.Literal("applied"), t.Literal("linearizable")])),
  wait_ms: t.Optional(natural("Wait for a record if there is none", { maximum: 60_000 })),
  follow: t.Optional(switchOf("1: lines without end, or events as Accept says")),
  from_ms: t.Optional(
    natural("Instead of offset: the first record that is not older, in milliseconds since 1970"),
  ),
});
export const MESSAGE = t.Object({
  offset: natural("Offset"),
  partition,
  timestamp_ms: natural("When the leader took it, milliseconds since 1970"),
  key: t.Optional(t.String()),
  key_b64: t.Optional(t.String()),
  value: t.Optional(t.String()),
  value_b64: t.Optional(t.String()),
  headers: t.Optional(
    t.Record(t.String(), t.String(), { description: "By name; absent if there are none" }),
  ),
});
export type Message = Wire<typeof MESSAGE>;
export const PAGE = t.Object({
  messages: t.Array(MESSAGE),
  count: natural("Messages on this page"),
  next_offset: natural("Offset of the next read"),
  committed_offset: committedOffset("The next offset this group reads"),
  truncated: t.Boolean({ description: "max_bytes stopped the page before limit" }),
  low_watermark: natural("First kept offset"),
  end_offset: natural("Offset that the next record gets"),
});
export type Page = Wire<typeof PAGE>;
/** A message and a page of a read with `encoding=b64`. */
export type MessageB64 = Message & { readonly value_b64: string };
export type PageB64 = Omit<Page, "messages"> & { readonly messages: readonly MessageB64[] };
