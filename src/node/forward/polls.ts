import type { NodeId } from "../../lib/ids.ts";
import type { SentAs } from "./forwarded.ts";

/** Limit of the calls of this node that wait on the leader at the same time. */
const POLLS_MAX = 8_192;

/** The calls of this node that wait on the leader, and those that the leader has to end. */
export class Polls {
  #count = 0;
  readonly #cancelled: SentAs[] = [];

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count >= POLLS_MAX;
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    this.#count--;
  }

  cancel(sent: SentAs): void {
    this.#cancelled.push(sent);
  }

  /** @returns what was cancelled since the last call, by the node that has to be told. */
  takeCancelled(): ReadonlyMap<NodeId, readonly number[]> {
    const ids = ({ id }: SentAs) => id;
    const byPeer = Map.groupBy(this.#cancelled.splice(0), ({ peer }) => peer);
    return new Map([...byPeer].map(([peer, sent]) => [peer, sent.map(ids)]));
  }
}
