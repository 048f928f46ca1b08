/** Topics, retention, streams and cluster: methods that map one call to one request. */
import type { TopicList } from "../api/topics.ts";
import { AyderError } from "./errors.ts";
import { parseExact, stringifyExact } from "./json-values.ts";
import * as shapes from "./shapes.ts";
import type {
  JoinRequest,
  JoinResult,
  QueryRequest,
  QueryResult,
  ViewRequest,
  ViewResult,
  ViewSummary,
} from "./stream-types.ts";
import type { CallOptions, Request, Transport } from "./transport.ts";
import type {
  AddMember,
  Membership,
  ProducerList,
  RetentionPolicy,
  RetentionRequest,
  TopicDescription,
  TopicPage,
  TopicShape,
  TopicSummary,
} from "./types.ts";
import { segment } from "./url.ts";
import { camel } from "./values.ts";

const post = (path: string, body: unknown, options: CallOptions): Request => ({
  method: "POST",
  path,
  body: stringifyExact(body) ?? "{}",
  ...options,
});

/** The server returns at most this many topics on a page. */
const LIST_PAGE = 1000;

export class Topics {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Repeating the call returns the same answer; another number of partitions is `topic_exists`. */
  async create(
    name: string,
    options: CallOptions & { readonly partitions?: number | undefined } = {},
  ): Promise<TopicShape> {
    const { partitions, ...rest } = options;
    const request = post("/broker/topics", { name, partitions }, rest);
    return await this.#transport.json({ ...request, repeatable: true }, shapes.TOPIC_CREATED);
  }

  /** All topics by name. Asks for one page after the other. */
  async list(
    options: CallOptions & { readonly prefix?: string | undefined } = {},
  ): Promise<readonly TopicSummary[]> {
    const found: TopicSummary[] = [];
    for (let after = ""; ; ) {
      const { topics, next } = await this.page({ ...options, after: after || undefined });
      found.push(...topics);
      // A `next` that does not go on would be asked for ever.
      if (next === null || next <= after) return found;
      after = next;
    }
  }

  /** One page of the topics, by name. */
  async page(
    options: CallOptions & {
      readonly prefix?: string | undefined;
      /** `next` of the page before. */
      readonly after?: string | undefined;
      /** @default 1000, which is the most */
      readonly limit?: number | undefined;
    } = {},
  ): Promise<TopicPage> {
    const { prefix, after, limit = LIST_PAGE, ...rest } = options;
    const query = { prefix, after, limit };
    const request = { method: "GET", path: "/broker/topics", query, ...rest } as const;
    const { topics, next = null } = await this.#list(request);
    return { topics, next };
  }

  /** A server of an earlier version does not know the query, and returns all topics without it. */
  async #list(request: Request): Promise<TopicList> {
    try {
      return await this.#transport.json(request, shapes.TOPIC_LIST);
    } catch (error) {
      const { query, ...whole } = request;
      if (!(error instanceof AyderError) || error.code !== "unknown_parameter") throw error;
      if (query?.["prefix"] !== undefined) throw error;
      return await this.#transport.json(whole, shapes.TOPIC_LIST);
    }
  }

  async describe(topic: string, options: CallOptions = {}): Promise<TopicDescription> {
    const path = `/broker/topics/${segment(topic)}`;
    return camel(
      await this.#transport.json({ method: "GET", path, ...options }, shapes.TOPIC_DESCRIBED),
    );
  }

  /** The last writes of producers that number them, the latest first. */
  async producers(
    topic: string,
    options: CallOptions & {
      readonly partition?: number | undefined;
      readonly id?: string | undefined;
      /** @default 100 */
      readonly limit?: number | undefined;
    } = {},
  ): Promise<ProducerList> {
    const { partition, id, limit, ...rest } = options;
    const path = `/broker/topics/${segment(topic)}/producers`;
    const request = { method: "GET", path, query: { partition, id, limit }, ...rest } as const;
    return camel(await this.#transport.json(request, shapes.PRODUCER_LIST));
  }

  /** Forgets a producer, so that its numbers begin at 0 again. @returns the number of partitions. */
  async forgetProducer(topic: string, id: string, options: CallOptions = {}): Promise<number> {
    const path = `/broker/topics/${segment(topic)}/producers`;
    const request = { method: "DELETE", path, query: { id }, ...options } as const;
    return (await this.#transport.json(request, shapes.PRODUCER_FORGOTTEN)).partitions;
  }

  /** Deletes the topic with its records and groups. */
  async delete(topic: string, options: CallOptions = {}): Promise<void> {
    const path = `/broker/topics/${segment(topic)}`;
    await this.#transport.json({ method: "DELETE", path, ...options }, shapes.ACCEPTED);
  }
}

export class Retention {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async set(policy: RetentionRequest, options: CallOptions = {}): Promise<void> {
    const { topic, partition, ttlMs, maxBytes } = policy;
    const body = { topic, partition, ttl_ms: ttlMs, max_bytes: maxBytes };
    await this.#transport.json(post("/broker/retention", body, options), shapes.ACCEPTED);
  }

  async list(options: CallOptions = {}): Promise<readonly RetentionPolicy[]> {
    const request = { method: "GET", path: "/broker/retention", ...options } as const;
    const answer = camel(await this.#transport.json(request, shapes.RETENTION_LIST));
    return answer.policies;
  }
}

export class Streams {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async query<T = unknown>(body: QueryRequest, options: CallOptions = {}): Promise<QueryResult<T>> {
    const request = { ...post("/broker/query", body, options), repeatable: true };
    return (await this.#transport.json(request, shapes.QUERIED, parseExact)) as QueryResult<T>;
  }

  async join<L = unknown, R = unknown>(
    body: JoinRequest,
    options: CallOptions = {},
  ): Promise<JoinResult<L, R>> {
    const request = { ...post("/broker/join", body, options), repeatable: true };
    return (await this.#transport.json(request, shapes.JOINED, parseExact)) as JoinResult<L, R>;
  }
}

export class Views {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @returns true if the query is new; the same query continues where it was. */
  async put(name: string, body: ViewRequest, options: CallOptions = {}): Promise<boolean> {
    const request = { ...post(viewPath(name), body, options), method: "PUT" } as const;
    return (await this.#transport.json(request, shapes.VIEW_CREATED)).created;
  }

  async get(name: string, options: CallOptions = {}): Promise<ViewResult> {
    const request = { method: "GET", path: viewPath(name), ...options } as const;
    return await this.#transport.json(request, shapes.VIEWED, parseExact);
  }

  async list(options: CallOptions = {}): Promise<readonly ViewSummary[]> {
    const request = { method: "GET", path: "/broker/views", ...options } as const;
    const answer = await this.#transport.json(request, shapes.VIEW_LIST);
    return answer.views;
  }

  /** Deletes the view; the records are retained. */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json(
      { method: "DELETE", path: viewPath(name), ...options },
      shapes.ACCEPTED,
    );
  }
}

const viewPath = (name: string): string => `/broker/views/${segment(name)}`;

export class ClusterClient {
  readonly #transport: Transport;
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async membership(options: CallOptions = {}): Promise<Membership> {
    const request = { method: "GET", path: "/ha/membership", ...options } as const;
    return camel(await this.#transport.json(request, shapes.MEMBERSHIP)).membership;
  }

  /** Adds a learner, which receives the log and has no vote. */
  async add(member: AddMember, options: CallOptions = {}): Promise<void> {
    const body = {
      node_id: member.nodeId,
      advertise_addr: member.advertiseAddr,
      http_addr: member.httpAddr,
      priority: member.priority,
    };
    await this.#transport.json(post("/ha/membership/add", body, options), shapes.ACCEPTED);
  }

  /** Makes a learner a voter once it has caught up; before that the error is `not_caught_up`. */
  async promote(nodeId: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json(
      post("/ha/membership/promote", { node_id: nodeId }, options),
      shapes.ACCEPTED,
    );
  }

  async remove(nodeId: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.json(
      post("/ha/membership/remove", { node_id: nodeId }, options),
      shapes.ACCEPTED,
    );
  }

  /** @param nodeId absent: the server chooses a voter. @returns the new leader. */
  async transfer(nodeId?: string, options: CallOptions = {}): Promise<string> {
    const request = post("/ha/leader/transfer", { node_id: nodeId }, options);
    return (await this.#transport.json(request, shapes.TRANSFERRED)).target;
  }
}
