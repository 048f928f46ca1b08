/** A TCP front of an HTTP server: passes bytes on, or breaks connections at a chosen moment. */
import { createConnection, createServer, type Socket } from "node:net";

/**
 * `request`: breaks off before a byte of the request reaches the server. `answer`: the server does
 * its work, and the answer is dropped. `half`: half of the first piece of the answer arrives.
 */
export type Break = "none" | "request" | "answer" | "half";

export class Front {
  readonly #server;
  readonly #sockets = new Set<Socket>();
  /** Port of the server behind it. */
  target = 0;
  breaks: Break = "none";
  /** Request lines that came in. */
  readonly lines: string[] = [];

  constructor() {
    this.#server = createServer((client) => this.#accept(client));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(client: Socket): void {
    const server = createConnection({ host: "127.0.0.1", port: this.target });
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on("data", (bytes: Buffer) => {
      const line = /^[A-Z]+ \S+ HTTP\/1\.1/.exec(bytes.toString("latin1"))?.[0];
      if (line !== undefined) this.lines.push(line);
      if (this.breaks === "request") client.resetAndDestroy();
      else server.write(bytes);
    });
    server.on("data", (bytes: Buffer) => {
      if (this.breaks === "none" || this.breaks === "request") client.write(bytes);
      else if (this.breaks === "answer") client.resetAndDestroy();
      else client.write(bytes.subarray(0, bytes.length >> 1), () => client.destroy());
    });
  }
}
