import { type Config, ConfigError } from "../config/config.ts";
import type { Served } from "../node/port/calls.ts";
import { PortServer } from "../node/port/server.ts";
import type { SharedReads } from "./shared-reads.ts";
import type {
  Answers,
  FromHttpThread,
  Question,
  ThreadPlace,
  ToHttpThread,
} from "./thread-messages.ts";
import { answeringEnds, newRingMemory } from "./thread-rings.ts";

/** A thread that serves HTTP, as the main thread sees it. */
export class HttpThread {
  readonly #worker: Worker;
  readonly #port: PortServer;
  readonly #rings = newRingMemory();
  readonly #reads: SharedReads;
  readonly #loaded = Promise.withResolvers<void>();
  readonly #listening = Promise.withResolvers<string>();
  readonly #stopped = Promise.withResolvers<void>();
  readonly #questions = new Map<number, (answer: never) => void>();
  #lastId = 0;

  /**
   * @param reads the memory of stored batches, and who reads more of them.
   * @param fault is called if the thread ends unexpectedly, because the node then cannot serve
   *   its clients.
   */
  constructor(served: Served, reads: SharedReads, fault: (error: unknown) => void) {
    // The program is one file when it is compiled; `main.ts` knows on which thread it runs.
    const worker = new Worker(Bun.main);
    this.#worker = worker;
    this.#reads = reads;
    this.#port = new PortServer(served, {
      post: (message, transfer) => this.#say({ kind: "port", message }, transfer),
      defer: setImmediate,
      rings: answeringEnds(this.#rings, { wake: () => this.#say({ kind: "wake" }), fault }),
      blocks: reads.blocks,
    });
    worker.onmessage = ({ data }: MessageEvent<FromHttpThread>) => this.#receive(data);
    worker.onerror = ({ message }) => fault(new Error(`a thread that serves HTTP: ${message}`));
    worker.addEventListener("close", () => fault(new Error("a thread that serves HTTP has ended")));
  }

  /** Resolves when the thread has loaded the program. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Resolves to its URL. @throws ConfigError with the reason, if it cannot listen. */
  listen(config: Config, place: ThreadPlace): Promise<string> {
    this.#say({ kind: "start", config, place: { ...place, rings: this.#rings } });
    return this.#listening.promise;
  }

  /** Resolves when its requests have ended after `stop`. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  /** Waits for no read of a file any more. */
  endReads(): void {
    this.#port.windows?.end();
  }

  ask<Q extends Question>(question: Q): Promise<Answers[Q]> {
    return new Promise((resolve) => {
      const id = ++this.#lastId;
      this.#questions.set(id, resolve);
      this.#say({ kind: "ask", id, question });
    });
  }

  /** Sends the URL of the leader if it has changed. */
  refresh(): void {
    this.#port.refresh();
  }

  reload(): void {
    this.#say({ kind: "reload" });
  }

  stop(graceMs: number): void {
    this.#say({ kind: "stop", graceMs });
  }

  #receive(data: FromHttpThread): void {
    switch (data.kind) {
      case "ready":
        this.#loaded.resolve();
        return;
      case "listening":
        if (this.#port.windows !== null) this.#reads.threads.add(this.#port.windows.read);
        this.#listening.resolve(data.url);
        return;
      case "refused":
        this.#listening.reject(new ConfigError(data.reason));
        return;
      case "port":
        this.#port.receive(data.message);
        return;
      case "wake":
        this.#port.woken();
        return;
      case "answer":
        this.#questions.get(data.id)?.(data.answer as never);
        this.#questions.delete(data.id);
        return;
      case "stopped":
        this.#stopped.resolve();
        return;
    }
  }

  #say(message: ToHttpThread, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }
}
