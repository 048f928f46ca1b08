/** Follows a partition; continues after the last message if the connection breaks. */

import type { MessageB64 as Message } from "../../../api/consume.ts";
import { messageOf, open } from "../api.ts";
import { readEvents } from "../lib/event-stream.ts";
import { follow } from "../lib/requests.ts";
import { pause } from "../poll.ts";

const RETRY_MS = 1000;
/** Messages that arrive within this time are shown together. */
const SHOW_MS = 100;

export type FollowHandlers = {
  readonly take: (messages: readonly Message[]) => void;
  /** Called with an error text, or with an empty string when the connection works. */
  readonly trouble: (text: string) => void;
};

export class Follower {
  taken = 0;
  readonly #topic: string;
  readonly #partition: number;
  #next: number;
  #waiting: Message[] = [];

  constructor(topic: string, partition: number, from: number) {
    this.#topic = topic;
    this.#partition = partition;
    this.#next = from;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal, handlers: FollowHandlers): Promise<void> {
    const timer = setInterval(() => this.#flush(handlers), SHOW_MS);
    while (!signal.aborted) {
      try {
        const request = follow(this.#topic, this.#partition, this.#next);
        const { body } = await open(request, signal);
        handlers.trouble("");
        if (body !== null) await readEvents(body, ({ name, data }) => this.#take(name, data));
      } catch (error) {
        if (!signal.aborted) handlers.trouble(`${messageOf(error)}; trying again`);
      }
      await pause(RETRY_MS, signal);
    }
    clearInterval(timer);
  }

  #take(name: string, data: string): void {
    if (name === "error") throw new Error((JSON.parse(data) as { message: string }).message);
    const message = JSON.parse(data) as Message;
    this.#next = message.offset + 1;
    this.#waiting.push(message);
  }

  #flush({ take }: FollowHandlers): void {
    if (this.#waiting.length === 0) return;
    const messages = this.#waiting;
    this.#waiting = [];
    this.taken += messages.length;
    take(messages);
  }
}
