/**
 * Decides who gets one partition more than the others where the partitions of a topic cannot be divided
 * evenly among its subscribers.
 */

/** Members are numbers from 0. */
export type OpenTopic = {
  readonly subscribers: readonly number[];
  /** Number of subscribers that get one more; less than the number of subscribers. */
  readonly extras: number;
  /** Subscribers that own one more than the even share now. Giving them the extra moves nothing. */
  readonly holders: ReadonlySet<number>;
  /** The result: the subscribers that get one more. */
  readonly takers: Set<number>;
};

/** Bound of the work of `improve`, so that a change of a large group does not stop the node. */
const RELAXATIONS_MAX = 200_000;

/**
 * Fills `takers` of each topic. First the totals of the members become as even as possible, then as few
 * extras as possible go to members that are no holders. Exact up to the bound of the work. Beyond it, the
 * totals of members with the same topics still differ by at most one.
 *
 * @param totals partitions of each member without extras; afterwards with them.
 */
export function chooseTakers(topics: readonly OpenTopic[], totals: number[]): void {
  const [only] = topics;
  if (only === undefined) return;
  if (topics.length === 1) {
    take(only, totals, only.subscribers, only.extras);
    return;
  }
  for (const topic of topics) {
    if (topic.holders.size <= topic.extras) take(topic, totals, topic.holders, topic.holders.size);
  }
  for (const topic of topics) {
    if (topic.holders.size > topic.extras) take(topic, totals, topic.holders, topic.extras);
  }
  for (const topic of topics) {
    const others = topic.subscribers.filter((member) => !topic.takers.has(member));
    take(topic, totals, others, topic.extras - topic.takers.size);
  }
  evenOut(topics, totals);
  new Improvement(topics, totals).run();
}

/** Gives extras to the candidates with the lowest totals, to holders first among equals. */
function take(
  { holders, takers }: OpenTopic,
  totals: number[],
  candidates: Iterable<number>,
  count: number,
): void {
  if (count === 0) return;
  const total = (member: number): number => totals[member] as number;
  const costs = (member: number): number => (holders.has(member) ? 0 : 1);
  const order = [...candidates].sort((a, b) => total(a) - total(b) || costs(a) - costs(b) || a - b);
  for (const member of order.slice(0, count)) {
    takers.add(member);
    totals[member] = total(member) + 1;
  }
}

/** Passes extras from the member with the highest total to the one with the lowest. */
function evenOut(topics: readonly OpenTopic[], totals: number[]): void {
  const involved = [...new Set(topics.flatMap(({ subscribers }) => subscribers))].sort(
    (a, b) => a - b,
  );
  for (;;) {
    let [high, low] = [involved[0] as number, involved[0] as number];
    for (const member of involved) {
      if ((totals[member] as number) > (totals[high] as number)) high = member;
      if ((totals[member] as number) < (totals[low] as number)) low = member;
    }
    if ((totals[high] as number) - (totals[low] as number) < 2) return;
    const topic = cheapestPass(topics, high, low);
    if (topic === null) return;
    topic.takers.delete(high);
    topic.takers.add(low);
    totals[high] = (totals[high] as number) - 1;
    totals[low] = (totals[low] as number) + 1;
  }
}

function cheapestPass(topics: readonly OpenTopic[], from: number, to: number): OpenTopic | null {
  let best: OpenTopic | null = null;
  let bestCost = Number.POSITIVE_INFINITY;
  for (const topic of topics) {
    if (!topic.takers.has(from) || topic.takers.has(to)) continue;
    if (!topic.subscribers.includes(to)) continue;
    const cost = Number(topic.holders.has(from)) - Number(topic.holders.has(to));
    if (cost < bestCost) [best, bestCost] = [topic, cost];
  }
  return best;
}

/**
 * Cancels negative cycles of a minimum cost flow: from a source over topics to members, where the n-th
 * partition of a member costs 2n − 1 times `#weight`, and an extra costs 1 if the member does not hold it.
 * A flow without negative cycles is a cheapest one. Cycles are found as by Bellman and Ford.
 */
class Improvement {
  readonly #topics: readonly OpenTopic[];
  readonly #totals: number[];
  readonly #members: number;
  readonly #sink: number;
  /** One step of evenness is worth more than all extras that a cycle passes. */
  readonly #weight: number;
  #distance: number[] = [];
  #parent: number[] = [];
  #relaxations = 0;

  constructor(topics: readonly OpenTopic[], totals: number[]) {
    this.#topics = topics;
    this.#totals = totals;
    this.#members = totals.length;
    this.#sink = totals.length + topics.length;
    this.#weight = 2 * (totals.length + topics.length) + 1;
  }

  run(): void {
    for (let cycle = this.#findCycle(); cycle !== null; cycle = this.#findCycle()) {
      this.#cancel(cycle);
    }
  }

  /** Returns the nodes of a negative cycle in order; null if there is none or the work is bounded. */
  #findCycle(): number[] | null {
    this.#distance = new Array<number>(this.#sink + 1).fill(Number.POSITIVE_INFINITY);
    this.#parent = new Array<number>(this.#sink + 1).fill(-1);
    this.#distance[this.#sink] = 0;
    while (this.#relaxAll()) {
      if (this.#relaxations > RELAXATIONS_MAX) return null;
      const cycle = this.#cycleOfParents();
      if (cycle !== null) return cycle;
    }
    return null;
  }

  /** Returns whether a distance became shorter. */
  #relaxAll(): boolean {
    const fromSink = this.#relaxSink((total) => -(2 * total - 1), true);
    const overTopics = this.#topics.map((_, i) => this.#relaxTopic(i));
    const toSink = this.#relaxSink((total) => 2 * total + 1, false);
    return fromSink || toSink || overTopics.includes(true);
  }

  #relaxSink(costOf: (total: number) => number, isFrom: boolean): boolean {
    let shorter = false;
    for (let member = 0; member < this.#members; member++) {
      const cost = costOf(this.#totals[member] as number) * this.#weight;
      const [from, to] = isFrom ? [this.#sink, member] : [member, this.#sink];
      if (this.#relax(from, to, cost)) shorter = true;
    }
    return shorter;
  }

  /** A taker can give its extra to the topic, and the topic can give it to another member. */
  #relaxTopic(number: number): boolean {
    const { subscribers, holders, takers } = this.#topics[number] as OpenTopic;
    const topic = this.#members + number;
    this.#relaxations += 2 * subscribers.length;
    const others = subscribers.filter((member) => !takers.has(member));
    const given = [...takers].map((member) =>
      this.#relax(member, topic, holders.has(member) ? 0 : -1),
    );
    const taken = others.map((member) => this.#relax(topic, member, holders.has(member) ? 0 : 1));
    return given.includes(true) || taken.includes(true);
  }

  #relax(from: number, to: number, cost: number): boolean {
    const distance = (this.#distance[from] as number) + cost;
    if (!(distance < (this.#distance[to] as number))) return false;
    this.#distance[to] = distance;
    this.#parent[to] = from;
    return true;
  }

  /** A cycle of parents is a negative cycle. */
  #cycleOfParents(): number[] | null {
    const seenFrom = new Array<number>(this.#sink + 1).fill(-1);
    for (let start = 0; start <= this.#sink; start++) {
      let node = start;
      while (node !== -1 && seenFrom[node] === -1) {
        seenFrom[node] = start;
        node = this.#parent[node] as number;
      }
      if (node === -1 || seenFrom[node] !== start) continue;
      const cycle = [node];
      for (let next = this.#parent[node] as number; next !== node; ) {
        cycle.push(next);
        next = this.#parent[next] as number;
      }
      return cycle.reverse();
    }
    return null;
  }

  /** Members give extras to the topics that follow them in the cycle, and topics to members. */
  #cancel(cycle: readonly number[]): void {
    cycle.forEach((from, i) => {
      const to = cycle[(i + 1) % cycle.length] as number;
      if (from === this.#sink || to === this.#sink) return;
      const gives = from < this.#members;
      const member = gives ? from : to;
      const { takers } = this.#topics[(gives ? to : from) - this.#members] as OpenTopic;
      if (gives) takers.delete(member);
      else takers.add(member);
      this.#totals[member] = (this.#totals[member] as number) + (gives ? -1 : 1);
    });
  }
}
