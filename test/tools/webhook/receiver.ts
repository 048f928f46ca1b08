/** A receiver of webhooks: an HTTP server that remembers its requests and answers as it is told. */
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

export type Received = {
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly bytes: Uint8Array;
  /** Milliseconds since 1970. */
  readonly atMs: number;
};

export type Answer = (request: Received, at: number) => Response | Promise<Response>;

const OK: Answer = () => new Response("ok");

export class Receiver {
  answer: Answer;
  readonly requests: Received[] = [];
  readonly #server: Bun.Server<undefined>;
  readonly #waiting: (() => void)[] = [];
  /** Requests that are being answered now, and the most there were at a time. */
  atWork = 0;
  mostAtWork = 0;

  constructor(answer: Answer = OK) {
    this.answer = answer;
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      fetch: (request) => this.#fetch(request),
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}/hook`;
  }

  /** The request number `at`, from 0, when it has come. */
  async request(at: number): Promise<Received> {
    for (;;) {
      const request = this.requests[at];
      if (request !== undefined) return request;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }

  async #fetch(request: Request): Promise<Response> {
    const bytes = await request.bytes();
    const received = {
      headers: request.headers.toJSON() as Record<string, string>,
      text: new TextDecoder().decode(bytes),
      bytes,
      atMs: Date.now(),
    };
    this.requests.push(received);
    for (const wake of this.#waiting.splice(0)) wake();
    this.atWork++;
    this.mostAtWork = Math.max(this.mostAtWork, this.atWork);
    try {
      return await this.answer(received, this.requests.length - 1);
    } finally {
      this.atWork--;
    }
  }
}

/** True for each of the libraries for receivers that accepts the request. */
export function verified(request: Received, secret: string): { standard: boolean; svix: boolean } {
  const accepts = (verify: () => unknown): boolean => {
    try {
      verify();
      return true;
    } catch {
      return false;
    }
  };
  const headers = { ...request.headers };
  return {
    standard: accepts(() => new StandardWebhook(secret).verify(request.text, headers)),
    svix: accepts(() => new SvixWebhook(secret).verify(request.text, headers)),
  };
}

export const BOTH = { standard: true, svix: true };
