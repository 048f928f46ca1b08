import type { Socket } from "bun";
import type { Exchange } from "./queue-protocols.ts";

/** A socket with one request in flight. */
export class Connection implements Exchange {
  #socket: Socket | null = null;
  #text = "";
  #isWhole: (answer: string) => boolean = () => false;
  #resolve: (answer: string) => void = () => {};
  #left: Uint8Array = new Uint8Array(0);

  async open(port: number): Promise<void> {
    this.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => this.#take(chunk),
        drain: () => this.#write(this.#left),
        error: (_socket, error) => {
          throw error;
        },
      },
    });
  }

  ask(request: string | Uint8Array, isWhole: (answer: string) => boolean): Promise<string> {
    return new Promise((resolve) => {
      this.#text = "";
      this.#isWhole = isWhole;
      this.#resolve = resolve;
      this.#write(typeof request === "string" ? Buffer.from(request, "latin1") : request);
    });
  }

  close(): void {
    this.#socket?.end();
  }

  #write(bytes: Uint8Array): void {
    const written = this.#socket?.write(bytes) ?? 0;
    this.#left = bytes.subarray(written);
  }

  #take(chunk: Buffer): void {
    this.#text += chunk.toString("latin1");
    if (this.#text.startsWith("PING\r\n")) {
      this.#text = this.#text.slice(6);
      this.#socket?.write("PONG\r\n");
    }
    if (!this.#isWhole(this.#text)) return;
    this.#isWhole = () => false;
    this.#resolve(this.#text);
  }
}
