import type { Network } from "./network.ts";

/** The network of a node that has no peers: nobody dials, and nobody is there to be dialled. */
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
