/**
 * One HTTP/1.1 connection that sends each request exactly once and knows whether a byte of it left:
 * `fetch` may send a request again on its own, and a history must not hold what nobody asked for.
 */
import type { Socket } from "bun";
import { type Reply, readReply } from "./http-reply.ts";

export type Address = { readonly host: string; readonly port: number };

/** Nothing of the request left this process: it was certainly not applied. */
export class NotSent extends Error {
  override readonly name = "NotSent";
}

/** The request may have arrived; nobody knows what became of it. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

export type HttpRequest = {
  readonly method: string;
  /** Path and query, as they go onto the wire. */
  readonly target: string;
  readonly token: string;
  readonly body?: string | undefined;
};

type Waiting = {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
};

export class Connection {
  readonly #address: Address;
  #socket: Socket | null = null;
  #received: Buffer = Buffer.alloc(0);
  #unsent: Uint8Array = new Uint8Array(0);
  #waiting: Waiting | null = null;

  private constructor(address: Address) {
    this.#address = address;
  }

  /** @throws NotSent */
  static async open(address: Address, timeoutMs: number): Promise<Connection> {
    const connection = new Connection(address);
    const { host, port } = address;
    const opening = Bun.connect({
      hostname: host,
      port,
      socket: {
        data: (_, chunk) => connection.#receive(chunk),
        drain: () => connection.#flush(),
        close: () => connection.#end("closed"),
        error: (_, error) => connection.#end(error.message),
        connectError: () => {},
      },
    });
    const tooLong = Symbol();
    const timeout = timer(timeoutMs, tooLong);
    try {
      const socket = await Promise.race([opening, timeout.promise]);
      if (typeof socket === "symbol") throw new NotSent(`no connection to ${host}:${port} in time`);
      connection.#socket = socket;
      return connection;
    } catch (error) {
      opening.then(
        (late) => late.end(),
        () => {},
      );
      throw error instanceof NotSent ? error : new NotSent(String(error));
    } finally {
      timeout.cancel();
    }
  }

  get isOpen(): boolean {
    return this.#socket !== null;
  }

  close(): void {
    this.#end("closed here");
  }

  /**
   * One request at a time.
   *
   * @throws NotSent, NoAnswer; after either the connection is of no use any more.
   */
  async request(request: HttpRequest, timeoutMs: number): Promise<Reply> {
    if (this.#socket === null) throw new NotSent("the connection had ended");
    if (this.#waiting !== null) throw new Error("one request at a time");
    const answer = new Promise<Reply>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    const patience = setTimeout(() => this.#end("no answer in time"), timeoutMs);
    this.#unsent = this.#encode(request);
    this.#flush();
    try {
      return await answer;
    } finally {
      clearTimeout(patience);
    }
  }

  #encode({ method, target, token, body }: HttpRequest): Uint8Array {
    const { host, port } = this.#address;
    const name = host.includes(":") ? `[${host}]` : host;
    const bytes = Buffer.from(body ?? "");
    const head = [
      `${method} ${target} HTTP/1.1`,
      `Host: ${name}:${port}`,
      `Authorization: Bearer ${token}`,
      `Content-Length: ${bytes.length}`,
    ];
    return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), bytes]);
  }

  #flush(): void {
    if (this.#socket === null || this.#unsent.length === 0) return;
    const written = this.#socket.write(this.#unsent);
    if (written > 0) this.#unsent = this.#unsent.subarray(written);
  }

  #receive(chunk: Uint8Array): void {
    this.#received =
      this.#received.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#received, chunk]);
    const reply = readReply(this.#received);
    if (reply === null) return;
    this.#received = Buffer.alloc(0);
    const waiting = this.#waiting;
    this.#waiting = null;
    if (reply.closes) this.#end("the server closes");
    waiting?.resolve(reply);
  }

  #end(reason: string): void {
    const waiting = this.#waiting;
    const socket = this.#socket;
    this.#waiting = null;
    this.#socket = null;
    this.#received = Buffer.alloc(0);
    socket?.terminate();
    waiting?.reject(new NoAnswer(reason));
  }
}

function timer<T>(timeoutMs: number, value: T): { promise: Promise<T>; cancel: () => void } {
  let handle: ReturnType<typeof setTimeout> | undefined;
  const promise = new Promise<T>((resolve) => {
    handle = setTimeout(() => resolve(value), timeoutMs);
  });
  return { promise, cancel: () => clearTimeout(handle) };
}
