/** The list of topics: as pages, or as one answer that is made and sent in pieces. */
import type { TopicList } from "../api/topics.ts";
import type { ListTopicsRequest, NodeApi, TopicSummary } from "../node/api.ts";
import { type AnswerSource, nextTurn, PIECE_BYTES } from "./answer-streams.ts";
import type { Principal } from "./auth.ts";
import { ANSWERS_FULL } from "./middleware.ts";
import type { RequestContext } from "./request-context.ts";
import { json } from "./responses.ts";
import type { Services } from "./services.ts";
import { streamedJson } from "./streamed-json.ts";

/** Topics of one look at the node, each of which walks over all names. */
const LOOKED_AT = 5_000;
/** Topics of one piece of an answer. */
const PIECE_TOPICS = 2_000;

type Range = Pick<ListTopicsRequest, "prefix" | "after">;

/** One page, with `next`. */
export async function topicPage(
  { node }: Services,
  { principal }: RequestContext,
  request: ListTopicsRequest,
): Promise<Response> {
  const { limit } = request;
  const found = await permittedTopics(node, principal, { ...request, limit: limit + 1 });
  const topics = found.slice(0, limit);
  const next = found.length > limit ? (topics.at(-1)?.topic ?? null) : null;
  return json<TopicList>({ ok: true, topics: topics.map(rowOf), next });
}

/** All topics in one answer. */
export async function allTopics(
  services: Services,
  context: RequestContext,
  range: Range,
): Promise<Response> {
  const { node, answers, options, errorMapper } = services;
  const first = await permittedTopics(node, context.principal, { ...range, limit: PIECE_TOPICS });
  if (first.length < PIECE_TOPICS) {
    return json<TopicList>({ ok: true, topics: first.map(rowOf) });
  }
  if (!answers.budget.hasRoom(PIECE_BYTES)) {
    options.instruments.answersRefused.value++;
    return errorMapper.overloaded(ANSWERS_FULL);
  }
  return streamedJson(services, context, () => new AllTopics(services, context, range));
}

/**
 * Returns the first topics of a range that the token may read. Looks on until there are as many as
 * wanted, so that a page never ends at the name of a topic that is not permitted.
 */
async function permittedTopics(
  node: NodeApi,
  principal: Principal,
  { prefix, after, limit }: ListTopicsRequest,
): Promise<readonly TopicSummary[]> {
  if (principal.may("read", null)) return await node.listTopics({ prefix, after, limit });
  const found: TopicSummary[] = [];
  for (let behind = after; found.length < limit; ) {
    const looked = await node.listTopics({ prefix, after: behind, limit: LOOKED_AT });
    found.push(...looked.filter(({ topic }) => principal.may("read", topic)));
    const last = looked.at(-1);
    if (last === undefined || looked.length < LOOKED_AT) break;
    behind = last.topic;
    await nextTurn();
  }
  return found.slice(0, limit);
}

/** Topics that are created or deleted meanwhile may be missing; no other is, and none comes twice. */
class AllTopics implements AnswerSource {
  readonly #services: Services;
  readonly #principal: Principal;
  readonly #prefix: string;
  readonly #ended = new AbortController();
  #after: string;
  #begun = false;
  #done = false;

  constructor(services: Services, { principal }: RequestContext, { prefix, after }: Range) {
    this.#services = services;
    this.#principal = principal;
    this.#prefix = prefix;
    this.#after = after;
  }

  ended(): void {
    this.#ended.abort();
  }

  async next(): Promise<Uint8Array | null> {
    if (this.#done) return null;
    await nextTurn();
    const range = { prefix: this.#prefix, after: this.#after, limit: PIECE_TOPICS };
    return await this.#services.answers.piece(
      this.#ended.signal,
      () => permittedTopics(this.#services.node, this.#principal, range),
      (topics) => this.#write(topics),
    );
  }

  #write(topics: readonly TopicSummary[]): Uint8Array {
    const rows = topics.map((each) => JSON.stringify(rowOf(each))).join();
    const isFirst = !this.#begun;
    this.#begun = true;
    this.#done = topics.length < PIECE_TOPICS;
    this.#after = topics.at(-1)?.topic ?? this.#after;
    const separator = isFirst || rows === "" ? "" : ",";
    const start = isFirst ? '{"ok":true,"topics":[' : separator;
    return new TextEncoder().encode(`${start}${rows}${this.#done ? "]}" : ""}`);
  }
}

const rowOf = ({ topic, partitions, messages, bytes }: TopicSummary) => ({
  topic,
  partitions,
  messages,
  bytes,
});
