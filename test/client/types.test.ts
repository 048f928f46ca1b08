/** The types of the client equal those of the API. The compiler compares them (`bun run types`). */
import { expect, test } from "bun:test";
import type { Static, TSchema } from "@sinclair/typebox";
import type * as consume from "../../src/api/consume.ts";
import type * as kv from "../../src/api/kv.ts";
import type * as produce from "../../src/api/produce.ts";
import type * as streams from "../../src/api/queries.ts";
import type * as retention from "../../src/api/retention.ts";
import type * as topics from "../../src/api/topics.ts";
import type * as client from "../../src/client/index.ts";

type CamelName<S extends string> = S extends `${infer A}_${infer B}`
  ? `${A}${Capitalize<CamelName<B>>}`
  : S;
type Camel<T> = T extends readonly (infer U)[]
  ? Camel<U>[]
  : T extends object
    ? { [K in keyof T as K extends string ? CamelName<K> : K]: Camel<T[K]> }
    : T;
type Mutable<T> = T extends readonly (infer U)[]
  ? Mutable<U>[]
  : T extends object
    ? { -readonly [K in keyof T]: Mutable<T[K]> }
    : T;
/** The body of an answer as the client returns it. */
type Answer<S extends TSchema> = Camel<Omit<Static<S>, "ok">>;

/** `true` only if each type is assignable to the other, with and without optional fields. */
type Same<A, B> = [Mutable<A>] extends [B]
  ? [B] extends [Mutable<A>]
    ? SameKeys<A, B>
    : false
  : false;
type SameKeys<A, B> = [keyof A] extends [keyof B]
  ? [keyof B] extends [keyof A]
    ? true
    : ["not in the client", Exclude<keyof B, keyof A>]
  : ["not in the API", Exclude<keyof A, keyof B>];

/** Server timings need a query parameter that the client does not have. */
type Timing = "queueUs" | "recvParseUs" | "serverUs" | "produceUs" | "syncWaitUs";

test("the types of answers are those of the schemas", () => {
  const same: readonly [
    Same<client.TopicShape, Answer<typeof topics.TOPIC_CREATED>>,
    Same<client.TopicSummary, Answer<typeof topics.TOPIC_LIST>["topics"][number]>,
    Same<client.TopicDescription, Answer<typeof topics.TOPIC_DESCRIBED>>,
    Same<client.Deleted, Answer<typeof retention.DELETED>>,
    Same<client.RetentionPolicy, Answer<typeof retention.RETENTION_LIST>["policies"][number]>,
    Same<Omit<client.Page, "messages" | "topicId">, Omit<Answer<typeof consume.PAGE>, "messages">>,
    Same<client.KvMeta, Answer<typeof kv.KV_META>>,
    Same<client.KvNamespace, Answer<typeof kv.KV_NAMESPACES>["namespaces"][number]>,
    Same<client.KvPage, Answer<typeof kv.KV_LIST>>,
    Same<keyof client.Produced, Exclude<keyof Answer<typeof produce.PRODUCED>, Timing>>,
    Same<keyof client.ProducedBatch, Exclude<keyof Answer<typeof produce.PRODUCED_BATCH>, Timing>>,
    Same<client.ViewSummary, Omit<Static<typeof streams.VIEW_LIST>["views"][number], "ok">>,
    Same<keyof client.QueryResult, Exclude<keyof Static<typeof streams.QUERIED>, "ok">>,
    Same<client.JoinResult["stats"], Static<typeof streams.JOINED>["stats"]>,
    Same<client.JoinRequest, Omit<Static<typeof streams.JOIN_BODY>, "dedupe">>,
    Same<client.QueryRequest, Static<typeof streams.QUERY_BODY>>,
    Same<client.ViewRequest, Static<typeof streams.VIEW_BODY>>,
  ] = [
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
    true,
  ];
  expect(same).toHaveLength(17);
});
