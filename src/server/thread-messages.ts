/** Messages between the main thread and a thread that serves HTTP. */
import type { Config } from "../config/config.ts";
import type { ThreadSample } from "../metrics/sources.ts";
import type { PortMessage } from "../node/port/message.ts";
import type { SharedMemory } from "./shared-limits.ts";
import type { RingMemory } from "./thread-rings.ts";

/** Place of a thread among those that serve HTTP. */
export type ThreadPlace = {
  /** From 0. */
  readonly number: number;
  readonly memory: SharedMemory;
  /** The port to listen on. */
  readonly port: number;
};

/** The main thread gives this to one thread. */
export type ThreadStart = ThreadPlace & { readonly rings: RingMemory };

/** Questions of the main thread, with the type of their answers. */
export type Answers = {
  /** Ports of the clients whose requests are in progress. */
  readonly busy: ReadonlySet<number>;
  readonly sample: Omit<ThreadSample, "startedAtSeconds">;
};
export type Question = keyof Answers;

export type ToHttpThread =
  | { readonly kind: "start"; readonly config: Config; readonly place: ThreadStart }
  | { readonly kind: "port"; readonly message: PortMessage }
  /** There are entries in the ring of outcomes. */
  | { readonly kind: "wake" }
  | { readonly kind: "ask"; readonly id: number; readonly question: Question }
  /** Reload the certificate files. */
  | { readonly kind: "reload" }
  | { readonly kind: "stop"; readonly graceMs: number };

export type FromHttpThread =
  /** The thread accepts messages from now on. */
  | { readonly kind: "ready" }
  | { readonly kind: "listening"; readonly url: string }
  /** The thread could not start, for a reason that the operator can correct. */
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "port"; readonly message: PortMessage }
  /** There are entries in the ring of calls. */
  | { readonly kind: "wake" }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answers[Question] }
  | { readonly kind: "stopped" };
