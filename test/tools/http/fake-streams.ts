import type { StreamApi } from "../../../src/node/api.ts";

type Outcome = { ok: false; code: "query_too_large"; message: string } | null;

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
    return this.#answer("query", signal);
  };
  readonly join: StreamApi["join"] = ({ rules, body, signal }) => {
    this.body = body;
    return this.#answer(`join ${rules.keysAs} ${rules.oncePairs}`, signal);
  };
  readonly getView: StreamApi["getView"] = async (name, signal) => {
    const answer = await this.#answer(`get ${name}`, signal);
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

  async #answer(what: string, signal: AbortSignal) {
    this.asked.push(what);
    this.signal = signal;
    await this.gate;
    return this.outcome ?? ({ ok: true, json: '{"ok":true,"exact":9007199254740993}' } as const);
  }
}
