/** A wire to a store that cuts connections in the middle of requests. */
import type { Socket } from "bun";

type Link = { other: Socket<Link> | null; waiting: Uint8Array[] };

export class CuttingWire {
  readonly #server;
  /** Connections whose requests have this in their bytes are cut. Null: none. */
  cuts: string | null = null;

  constructor(endpoint: string) {
    const { hostname, port } = new URL(endpoint);
    this.#server = Bun.listen<Link>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = { other: null, waiting: [] };
          void Bun.connect<Link>({
            hostname,
            port: Number(port),
            data: { other: socket, waiting: [] },
            socket: {
              open: (other) => {
                socket.data.other = other;
                for (const bytes of socket.data.waiting) other.write(bytes);
              },
              data: (_, bytes) => {
                socket.write(bytes);
              },
              close: () => {
                socket.end();
              },
            },
          });
        },
        data: (socket, bytes) => {
          if (this.cuts !== null && Buffer.from(bytes).includes(this.cuts)) {
            socket.terminate();
            return;
          }
          const { other, waiting } = socket.data;
          if (other === null) waiting.push(new Uint8Array(bytes));
          else other.write(bytes);
        },
        close: (socket) => {
          socket.data.other?.end();
        },
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  stop(): void {
    this.#server.stop(true);
  }
}
