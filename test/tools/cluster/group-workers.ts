/** Members of a group that speak HTTP by hand, and a checker of what they saw. */

type Place = { readonly topic: string; readonly partition: number };
type Owned = Place & { readonly generation: number; readonly next_offset: number };
type Page = {
  readonly messages: readonly (Place & { readonly offset: number; readonly value: string })[];
  readonly positions: readonly Owned[];
};

/** A record that a member has got. */
export type Delivery = Place & {
  readonly member: string;
  readonly offset: number;
  readonly value: string;
};
/** A commit that was answered as done: the offset in force, and when it was sent and answered. */
export type Commit = Place & {
  readonly member: string;
  readonly generation: number;
  readonly offset: number;
  readonly sentMs: number;
  readonly answeredMs: number;
};
export type GroupHistory = { readonly deliveries: Delivery[]; readonly commits: Commit[] };

export type WorkerOptions = {
  readonly urls: readonly string[];
  readonly token: string;
  readonly group: string;
  readonly topic: string;
  readonly name: string;
  readonly history: GroupHistory;
};

const LEASE_MS = 2_000;

/** Joins, reads, commits what it read, and joins again after every error. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #ended = new AbortController();
  readonly #done: Promise<void>;
  #url: number;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#url = options.name.length % options.urls.length;
    this.#done = this.#run();
  }

  /** Ends without a word to the server. */
  kill(): void {
    this.#ended.abort();
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#done;
    await this.#ask("POST", "leave", { member: this.#options.name }).catch(() => null);
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        await this.#live();
      } catch {
        this.#url = (this.#url + 1) % this.#options.urls.length;
        await Bun.sleep(50);
      }
    }
  }

  async #live(): Promise<void> {
    const { name, topic, history } = this.#options;
    const { signal } = this.#ended;
    await this.#ask("POST", "join", { topics: [topic], member: name, lease_ms: LEASE_MS }, signal);
    while (!signal.aborted) {
      const query = `messages?member=${name}&limit=10&wait_ms=1000`;
      const page = (await this.#ask("GET", query, null, signal)) as Page;
      for (const { partition, offset, value } of page.messages) {
        history.deliveries.push({ topic, member: name, partition, offset, value });
      }
      if (page.positions.length > 0) await this.#commit(page.positions);
    }
  }

  async #commit(positions: readonly Owned[]): Promise<void> {
    const { name, history } = this.#options;
    const sentMs = performance.now();
    const offsets = positions.map(({ topic, partition, generation, next_offset: offset }) => {
      return { topic, partition, generation, offset };
    });
    const answer = (await this.#ask("POST", "commit", { member: name, offsets })) as {
      readonly results: readonly { readonly ok: boolean; readonly committed_offset?: number }[];
    };
    const answeredMs = performance.now();
    answer.results.forEach((result, i) => {
      const owned = offsets[i];
      if (!result.ok || owned === undefined) return;
      const offset = result.committed_offset ?? 0;
      history.commits.push({ ...owned, member: name, offset, sentMs, answeredMs });
    });
  }

  async #ask(
    method: string,
    what: string,
    body: object | null,
    signal: AbortSignal | null = null,
  ): Promise<unknown> {
    const { urls, token, group } = this.#options;
    const timeout = AbortSignal.timeout(5_000);
    const send = (url: string) =>
      fetch(url, {
        method,
        headers: { authorization: `Bearer ${token}` },
        redirect: "manual",
        keepalive: false,
        signal: signal === null ? timeout : AbortSignal.any([signal, timeout]),
        ...(body === null ? {} : { body: JSON.stringify(body) }),
      });
    const path = `/broker/groups/${group}/${what}`;
    let response = await send(`${urls[this.#url]}${path}`);
    const location = response.headers.get("location");
    if (response.status === 307 && location !== null) response = await send(location);
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return await response.json();
  }
}

/** Returns what no correct server can do, in words. */
export function judge({ commits }: GroupHistory): string[] {
  const problems: string[] = [];
  const places = Map.groupBy(commits, ({ topic, partition }) => `${topic}/${partition}`);
  for (const [place, all] of places) {
    const owners = new Map<number, string>();
    const inOrder = all.toSorted((a, b) => a.answeredMs - b.answeredMs);
    for (const [i, { member, generation, offset, sentMs }] of inOrder.entries()) {
      const owner = owners.get(generation) ?? member;
      owners.set(generation, owner);
      if (owner !== member) {
        problems.push(`${place}: ${owner} and ${member} committed in generation ${generation}`);
      }
      // Commits that overlap may have been decided in either order.
      const before = inOrder.slice(0, i).filter(({ answeredMs }) => answeredMs <= sentMs);
      const highest = before.reduce((most, each) => Math.max(most, each.offset), 0);
      if (offset < highest) {
        problems.push(`${place}: the commit of ${offset} came after that of ${highest}`);
      }
      const latest = before.reduce((most, each) => Math.max(most, each.generation), 0);
      if (generation < latest) {
        problems.push(
          `${place}: ${member} committed in generation ${generation} after generation ${latest}`,
        );
      }
    }
  }
  return problems;
}
