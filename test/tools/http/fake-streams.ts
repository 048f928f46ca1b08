import type { JoinAnswer, QueryAnswer, StreamApi, ViewAnswer } from "../../../src/node/api.ts";

type Outcome = { ok: false; code: "query_too_large"; message: string } | null;

const COUNTS = { consumed: 1, undecodable: 0, untimed: 0, outOfRange: 0 };
const AGGREGATES = '[{"key":"","group":{},"count":1,"sum_n":9007199254740993}]';
const QUERIED: QueryAnswer = {
  ...COUNTS,
  topic: "orders",
  group: null,
  partition: 0,
  rows: "[9007199254740993]",
  aggregates: AGGREGATES,
  nextOffset: 1,
  rowsNextOffset: null,
  truncated: false,
};
const JOINED: JoinAnswer = {
  rows: "[]",
  nextOffsets: { left: 1, right: 2 },
  stats: {
    leftScanned: 1,
    rightScanned: 2,
    rows: 0,
    late: 0,
    watermarkMs: -9007199254740993n,
    outerLeft: 0,
    outerRight: 0,
    dedupeOnce: false,
    undecodable: 0,
    untimed: 0,
    truncated: false,
  },
};
const VIEWED: ViewAnswer = {
  ...COUNTS,
  view: "orders-view",
  topic: "orders",
  aggregates: AGGREGATES,
  partitions: [{ partition: 0, nextOffset: 1 }],
  skipped: 0,
  evictedGroups: 0,
  retainedFromMs: null,
  late: 0,
  overflow: 0,
  truncated: false,
  lag: 0,
};

/** Notes what it was asked; knows the view `orders-view` of the topic `orders.eu`. */
export class FakeStreams implements StreamApi {
  readonly asked: string[] = [];
  signal: AbortSignal | null = null;
  /** Body of the last query, join or view. */
  body = "";
  outcome: Outcome = null;
  /** Answers come after this. */
  gate: Promise<void> = Promise.resolve();

  readonly query: StreamApi["query"] = ({ body, signal }) => {
    this.body = body;
    return this.#answer("query", signal, QUERIED);
  };
  readonly join: StreamApi["join"] = ({ rules, body, signal }) => {
    this.body = body;
    return this.#answer(`join ${rules.keysAs} ${rules.oncePairs}`, signal, JOINED);
  };
  readonly getView: StreamApi["getView"] = async (name, signal) => {
    const answer = await this.#answer(`get ${name}`, signal, VIEWED);
    return answer.ok ? answer : { ok: false, code: "overloaded" };
  };

  async putView(name: string, body: string) {
    this.body = body;
    this.asked.push(`put ${name}`);
    return { ok: true, created: true } as const;
  }
  async deleteView(name: string) {
    this.asked.push(`delete ${name}`);
    return { ok: true } as const;
  }
  listViews() {
    const views = ["orders", "payments"];
    return views.map((topic) => ({
      view: `${topic}-view`,
      topic: `${topic}.eu`,
      partition: null,
      lag: 0,
    }));
  }
  topicOfView(name: string): string | null {
    return this.listViews().find(({ view }) => view === name)?.topic ?? null;
  }

  async #answer<T>(what: string, signal: AbortSignal, answer: T) {
    this.asked.push(what);
    this.signal = signal;
    await this.gate;
    return this.outcome ?? ({ ok: true, ...answer } as const);
  }
}
