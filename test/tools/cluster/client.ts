/** A client as a careful user would write it: it follows redirects and says what it knows. */
import type { Outcome } from "../history/operations.ts";
import { type Cluster, TOKEN } from "./cluster.ts";
import { Connection, NoAnswer, NotSent } from "./http-connection.ts";
import type { Reply } from "./http-reply.ts";
import type { NodeProcess } from "./node-process.ts";
import { type Body, bodyOf, outcomeOf } from "./outcome.ts";

export type Request = {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly target: string;
  readonly body?: string;
};

export type Answer = {
  readonly outcome: Outcome;
  readonly node: NodeProcess;
  /** Which life of the node answered. */
  readonly life: number;
  readonly status: number | null;
  readonly body: Body | null;
};

const CONNECT_TIMEOUT_MS = 1_000;
const ANSWER_TIMEOUT_MS = 3_000;
const REDIRECTS_MAX = 5;

type Open = { readonly connection: Connection; readonly life: number };

export class Client {
  readonly name: string;
  readonly #cluster: Cluster;
  readonly #open = new Map<NodeProcess, Open>();
  readonly #timeoutMs: number;

  constructor(name: string, cluster: Cluster, timeoutMs = ANSWER_TIMEOUT_MS) {
    this.name = name;
    this.#cluster = cluster;
    this.#timeoutMs = timeoutMs;
  }

  /** Asks `first`, and whom it names. Sends nothing twice to a node that may have acted. */
  async send(first: NodeProcess, request: Request): Promise<Answer> {
    let node = first;
    for (let hops = 0; ; hops++) {
      const life = node.lives;
      const answer = await this.#once(node, request);
      if (answer === "fail" || answer === "unknown") {
        return { outcome: answer, node, life, status: null, body: null };
      }
      const next = hops < REDIRECTS_MAX ? this.#redirect(answer.reply) : null;
      if (next === null) return toAnswer(node, answer.life, answer.reply);
      node = next;
    }
  }

  close(): void {
    for (const { connection } of this.#open.values()) connection.close();
    this.#open.clear();
  }

  async #once(
    node: NodeProcess,
    request: Request,
  ): Promise<{ reply: Reply; life: number } | "fail" | "unknown"> {
    try {
      const { connection, life } = await this.#connect(node);
      const reply = await connection.request({ ...request, token: TOKEN }, this.#timeoutMs);
      return { reply, life };
    } catch (error) {
      if (error instanceof NotSent) return "fail";
      if (error instanceof NoAnswer) return "unknown";
      throw error;
    }
  }

  async #connect(node: NodeProcess): Promise<Open> {
    const old = this.#open.get(node);
    if (old?.connection.isOpen === true) return old;
    // Read before dialling: who answers is this life or a later one.
    const life = node.lives;
    const connection = await Connection.open(node.http, CONNECT_TIMEOUT_MS);
    const open = { connection, life };
    this.#open.set(node, open);
    return open;
  }

  #redirect({ status, headers }: Reply): NodeProcess | null {
    const location = headers.get("location");
    if ((status !== 307 && status !== 308) || location === undefined) return null;
    const { hostname, port } = new URL(location);
    return this.#cluster.byAddress({ host: hostname, port: Number(port) });
  }
}

function toAnswer(node: NodeProcess, life: number, reply: Reply): Answer {
  const { status } = reply;
  const body = bodyOf(reply);
  // A redirect that leads nowhere: the node that sent it did nothing.
  const isRedirect = status === 307 || status === 308;
  const outcome = isRedirect ? "fail" : body === null ? "unknown" : outcomeOf(reply, body);
  return { outcome, node, life, status, body };
}
