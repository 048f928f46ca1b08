import type { ConsumeRequest } from "../api.ts";
import type { PageOutcome } from "./outcomes.ts";

/**
 * Reads of followers. Those that a record has woken ask for the same page, and one of them crosses the
 * port for all that ask until it is back.
 */
export class SharedReads {
  readonly #underWay = new Map<string, Promise<PageOutcome>>();

  /** @param read reads the page over the port. */
  page(request: ConsumeRequest, read: () => Promise<PageOutcome>): Promise<PageOutcome> {
    const { topic, partition, group, offset, topicId, limit, maxBytes, linearizable } = request;
    // The committed offset of a group may have changed since another read of it was sent.
    if (linearizable || offset === null) return read();
    const key = JSON.stringify([partition, offset, topicId, limit, maxBytes, topic, group]);
    const known = this.#underWay.get(key);
    if (known !== undefined) return known;
    const page = read().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, page);
    return page;
  }
}
