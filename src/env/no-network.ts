import type { Network } from "./network.ts";

/** The network of a node without peers. It neither dials nor listens. */
export class NoNetwork implements Network {
  listen(): void {}

  dial(): ReturnType<Network["dial"]> {
    return {
      send: () => false,
      bufferedBytes: 0,
      certificate: null,
      remote: "nowhere",
      verified: () => {},
      close: () => {},
    };
  }

  async close(): Promise<void> {}
}
