/** A member of a consumer group: it shares the partitions of topics with the other members. */
import type { GroupPage } from "../api/groups.ts";
import { AyderError } from "./errors.ts";
import { randomText } from "./log.ts";
import type { Shape } from "./shape.ts";
import { GROUP_JOINED, GROUP_LEFT, GROUP_PAGE, MEMBER_COMMITTED } from "./shapes.ts";
import { type Request, sleep, type Transport } from "./transport.ts";
import type { PartitionRef } from "./types.ts";
import { segment } from "./url.ts";
import { type Message, messageOf } from "./values.ts";

export type GroupOptions = {
  readonly topics: readonly string[];
  /** A name that stays the same across restarts keeps its partitions. @default a new name */
  readonly member?: string | undefined;
  /**
   * Leave the group at the end, so that other members get the partitions at once. Otherwise they are
   * kept until the lease ends, for a member that starts again. @default only without a name
   */
  readonly leave?: boolean | undefined;
  /** The member is removed if the server hears nothing from it for this long. @default 30_000 */
  readonly leaseMs?: number | undefined;
  /**
   * The lease is renewed for at most this long while messages of one request are processed. A worker
   * that hangs for longer loses its partitions. @default 300_000
   */
  readonly processingMs?: number | undefined;
  /** Messages per request. @default 100 */
  readonly limit?: number | undefined;
  /** Commit each message once the next one is asked for, page by page. @default true */
  readonly autoCommit?: boolean | undefined;
  /**
   * Without automatic commits: give up revoked partitions also if their messages are not committed.
   * The next owner reads them again. @default false
   */
  readonly releaseUncommitted?: boolean | undefined;
  /** The member got partitions. */
  readonly onAssigned?: ((partitions: readonly PartitionRef[]) => void) | undefined;
  /** Partitions go to other members, or the lease is over. */
  readonly onRevoked?: ((partitions: readonly PartitionRef[]) => void) | undefined;
  /** Ends the iteration, commits, and leaves the group. */
  readonly signal?: AbortSignal | undefined;
};

const WAIT_MS = 20_000;
const LEASE_MS = 30_000;
const PROCESSING_MS = 300_000;
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 2_000;
/** Time for the last commit and for leaving. */
const END_MS = 3_000;

type Owned = PartitionRef & { readonly generation: number };
const keyOf = ({ topic, partition }: PartitionRef): string => `${topic}/${partition}`;

/**
 * `for await (const message of client.group("billing", { topics: ["orders"] }))` joins, renews the
 * lease, commits what was processed, and leaves at the end unless it has a name of its own. A message counts as processed when the
 * next one is asked for. Every message is delivered at least once to one of the members.
 */
export class GroupConsumer implements AsyncIterable<Message> {
  readonly group: string;
  readonly member: string;
  readonly #transport: Transport;
  readonly #options: GroupOptions;
  readonly #leaseMs: number;
  /** By topic and partition, as of the last answer. */
  readonly #owned = new Map<string, Owned>();
  #assigned = new Map<string, PartitionRef>();
  /** Offsets behind the messages that were returned, and behind those that are processed. */
  readonly #returned = new Map<string, number>();
  readonly #processed = new Map<string, number>();
  readonly #committed = new Map<string, number>();
  #isMember = false;

  constructor(transport: Transport, group: string, options: GroupOptions) {
    this.#transport = transport;
    this.group = group;
    this.member = options.member ?? `m-${randomText()}`;
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
  }

  /** The partitions of this member, as of the last answer. */
  get partitions(): readonly PartitionRef[] {
    return [...this.#assigned.values()];
  }

  /** Commits all messages returned so far, including the current one. */
  async commit(): Promise<void> {
    await this.#commit(this.#returned);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    for await (const messages of this.#run()) {
      for (const message of messages) {
        // The partition may have gone to another member while earlier messages were processed.
        if (!this.#isOwned(message)) continue;
        this.#returned.set(keyOf(message), message.offset + 1);
        yield message;
        this.#processed.set(keyOf(message), message.offset + 1);
        if (this.#options.signal?.aborted === true) return;
      }
    }
  }

  /** Returns the messages in pages, for callers that process many at a time. */
  async *pages(): AsyncGenerator<readonly Message[], void, void> {
    for await (const messages of this.#run()) {
      for (const each of messages) this.#returned.set(keyOf(each), each.offset + 1);
      yield messages;
      for (const each of messages) this.#processed.set(keyOf(each), each.offset + 1);
    }
  }

  #isOwned(place: PartitionRef): boolean {
    return this.#isMember && this.#owned.has(keyOf(place));
  }

  async *#run(): AsyncGenerator<readonly Message[], void, void> {
    const stop = new AbortController();
    const { signal: outer } = this.#options;
    const signal = outer === undefined ? stop.signal : AbortSignal.any([outer, stop.signal]);
    try {
      yield* this.#pages(signal);
    } catch (error) {
      if (outer?.aborted !== true) throw error;
    } finally {
      stop.abort();
      await this.#end();
    }
  }

  async *#pages(signal: AbortSignal): AsyncGenerator<readonly Message[], void, void> {
    const { autoCommit = true } = this.#options;
    for (let pauseMs = PAUSE_MS_MIN; !signal.aborted; ) {
      const page = await this.#read(signal);
      if (page === null) {
        await sleep(pauseMs, signal);
        pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
        continue;
      }
      pauseMs = PAUSE_MS_MIN;
      const messages = page.messages.map((each) => messageOf(each.topic, each));
      if (messages.length > 0) yield* this.#held(messages);
      // Positions of revoked partitions are committed too, which hands them over.
      for (const each of page.positions) this.#processed.set(keyOf(each), each.next_offset);
      if (autoCommit) await this.#commit(this.#processed);
      else if (page.revoked.length > 0) await this.#commit(this.#workedOff(page.revoked));
    }
  }

  /** Without automatic commits, a partition is handed over when all its messages are committed. */
  #workedOff(revoked: readonly PartitionRef[]): ReadonlyMap<string, number> {
    const keys = revoked.map(keyOf);
    // A commit never moves back, so an offset of 0 only hands the partition over.
    if (this.#options.releaseUncommitted === true) {
      return new Map(keys.map((key) => [key, this.#committed.get(key) ?? 0]));
    }
    return new Map([...this.#committed].filter(([key]) => keys.includes(key)));
  }

  /** Renews the lease while the caller processes the page. */
  async *#held(messages: readonly Message[]): AsyncGenerator<readonly Message[], void, void> {
    const { autoCommit = true, processingMs = PROCESSING_MS } = this.#options;
    const endMs = performance.now() + processingMs;
    let pending: Promise<void> | null = null;
    const beat = () => {
      if (performance.now() > endMs) {
        clearInterval(timer);
        return;
      }
      pending ??= this.#commit(autoCommit ? this.#processed : new Map(), true).then(
        () => {
          pending = null;
        },
        () => {
          pending = null;
        },
      );
    };
    const timer = setInterval(beat, Math.max(100, this.#leaseMs / 3));
    try {
      yield messages;
    } finally {
      clearInterval(timer);
      await pending;
    }
  }

  /** Returns null if the caller has to try again. */
  async #read(signal: AbortSignal): Promise<GroupPage | null> {
    try {
      if (!this.#isMember) await this.#join(signal);
      const request: Request = {
        method: "GET",
        path: this.#path("messages"),
        query: { member: this.member, limit: this.#options.limit, wait_ms: WAIT_MS },
        waitMs: WAIT_MS,
        // A second read would go on behind the messages of an answer that was lost.
        retryMs: 0,
        isSentOnce: true,
        signal,
      };
      const page = await this.#transport.json(request, GROUP_PAGE);
      this.#own([...page.assigned, ...page.positions], page.assigned);
      return page;
    } catch (error) {
      if (!(error instanceof AyderError)) throw error;
      // The answer may be lost: joining again reads from the committed offsets.
      this.#isMember = false;
      if (error.code === "not_a_member") this.#own([], []);
      else if (!error.isRetriable && error.outcome !== "unknown") throw error;
      return null;
    }
  }

  async #join(signal: AbortSignal): Promise<void> {
    const joined = await this.#post("join", GROUP_JOINED, signal, {
      topics: this.#options.topics,
      member: this.member,
      lease_ms: this.#leaseMs,
    });
    this.#isMember = true;
    this.#returned.clear();
    this.#processed.clear();
    this.#committed.clear();
    this.#own(joined.assigned, joined.assigned);
  }

  /** @param owned partitions that this member may commit. @param assigned those that it keeps. */
  #own(owned: readonly Owned[], assigned: readonly PartitionRef[]): void {
    const { onAssigned, onRevoked } = this.#options;
    this.#owned.clear();
    for (const { topic, partition, generation } of owned) {
      this.#owned.set(keyOf({ topic, partition }), { topic, partition, generation });
    }
    const before = this.#assigned;
    this.#assigned = new Map(
      assigned.map(({ topic, partition }) => [keyOf({ topic, partition }), { topic, partition }]),
    );
    const lost = [...before.values()].filter((each) => !this.#assigned.has(keyOf(each)));
    const got = [...this.#assigned.values()].filter((each) => !before.has(keyOf(each)));
    if (lost.length > 0) onRevoked?.(lost);
    if (got.length > 0) onAssigned?.(got);
  }

  /** @param renews the request is sent also if there is nothing to commit. */
  async #commit(positions: ReadonlyMap<string, number>, renews = false): Promise<void> {
    const offsets = [...positions].flatMap(([key, offset]) => {
      const owned = this.#owned.get(key);
      if (owned === undefined) return [];
      // A commit of a revoked partition hands it over, so it is sent again.
      const isNews = this.#committed.get(key) !== offset || !this.#assigned.has(key);
      return isNews ? [{ ...owned, offset }] : [];
    });
    if (!this.#isMember || (offsets.length === 0 && !renews)) return;
    try {
      const body = { member: this.member, offsets };
      const { results } = await this.#post("commit", MEMBER_COMMITTED, undefined, body);
      results.forEach((result, i) => {
        const key = keyOf(result);
        if (result.ok) this.#committed.set(key, offsets[i]?.offset ?? 0);
        else this.#owned.delete(key);
      });
    } catch (error) {
      if (!(error instanceof AyderError) || error.code !== "not_a_member") throw error;
      this.#isMember = false;
      this.#own([], []);
    }
  }

  async #end(): Promise<void> {
    if (!this.#isMember) return;
    const { autoCommit = true, member, leave = member === undefined } = this.#options;
    try {
      if (autoCommit) await this.#commit(this.#processed);
      if (!leave) return;
      const signal = AbortSignal.timeout(END_MS);
      await this.#post("leave", GROUP_LEFT, signal, { member: this.member });
    } catch {
      // The lease ends by itself.
    } finally {
      this.#isMember = false;
      this.#own([], []);
    }
  }

  #post<T>(
    what: string,
    shape: Shape<T>,
    signal: AbortSignal | undefined,
    body: object,
  ): Promise<T> {
    const request: Request = {
      method: "POST",
      path: this.#path(what),
      body: JSON.stringify(body),
      // Joining, leaving and committing twice is the same as once.
      repeatable: true,
      signal,
    };
    return this.#transport.json(request, shape);
  }

  #path(what: string): string {
    return `/broker/groups/${segment(this.group)}/${what}`;
  }
}
