/** A topic with the progress of its groups, which is sent in pieces if there are very many of them. */
import type { GroupLag as GroupRow, TopicDescribed } from "../api/topics.ts";
import type { GroupLag, TopicDescription } from "../node/api.ts";
import { type AnswerSource, nextTurn } from "./answer-streams.ts";
import { ApiError } from "./errors.ts";
import type { RequestContext } from "./request-context.ts";
import { json, placeOf } from "./responses.ts";
import type { Services } from "./services.ts";
import { streamedJson } from "./streamed-json.ts";

/** Rows of one piece, each a group in a partition. */
export const ROWS_AT_ONCE = 4_000;
const END = "]}";

export function descriptionAnswer(
  services: Services,
  context: RequestContext,
  found: TopicDescription,
): Response {
  const { topic, partitionList, groups, groupsLeft } = found;
  const described: TopicDescribed = {
    ok: true,
    topic,
    partitions: partitionList.map(({ partition, lowWatermark, endOffset, bytes }) => ({
      partition,
      low_watermark: lowWatermark,
      end_offset: endOffset,
      bytes,
    })),
    groups: groups.map((row) => rowOf(services, row)),
  };
  if (groupsLeft.length === 0) return json<TopicDescribed>(described);
  const start = JSON.stringify(described).slice(0, -END.length);
  return streamedJson(services, context, () => new GroupRows(services, found, start));
}

class GroupRows implements AnswerSource {
  readonly #services: Services;
  readonly #found: TopicDescription;
  readonly #groupsAtOnce: number;
  readonly #ended = new AbortController();
  #start: string | null;
  #hasRows: boolean;
  #next = 0;
  #done = false;

  constructor(services: Services, found: TopicDescription, start: string) {
    this.#services = services;
    this.#found = found;
    this.#groupsAtOnce = Math.max(1, Math.floor(ROWS_AT_ONCE / found.partitions));
    this.#start = start;
    this.#hasRows = found.groups.length > 0;
  }

  ended(): void {
    this.#ended.abort();
  }

  async next(): Promise<Uint8Array | null> {
    if (this.#done) return null;
    await nextTurn();
    const { topic, groupsLeft } = this.#found;
    const from = this.#next;
    this.#next += this.#groupsAtOnce;
    const names = groupsLeft.slice(from, this.#next);
    const { node, answers } = this.#services;
    return await answers.piece(
      this.#ended.signal,
      async () => await node.groupsOf(topic, names),
      (found) => {
        // An incomplete list must not look complete: the answer is cut off.
        if (!found.ok) throw new ApiError(found.code, placeOf(topic, null));
        return this.#write(found.groups);
      },
    );
  }

  #write(rows: readonly GroupLag[]): Uint8Array {
    const start = this.#start ?? "";
    this.#start = null;
    const separator = this.#hasRows && rows.length > 0 ? "," : "";
    this.#hasRows ||= rows.length > 0;
    this.#done = this.#next >= this.#found.groupsLeft.length;
    const text = rows.map((row) => JSON.stringify(rowOf(this.#services, row))).join();
    return new TextEncoder().encode(`${start}${separator}${text}${this.#done ? END : ""}`);
  }
}

const rowOf = (
  { compat }: Services,
  { group, partition, committedOffset, lag }: GroupLag,
): GroupRow => ({
  group,
  partition,
  committed_offset:
    committedOffset === null ? null : compat.fromNextOffset(committedOffset, committedOffset),
  lag,
});
