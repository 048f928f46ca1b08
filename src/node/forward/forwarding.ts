import type { NodeId } from "../../lib/ids.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { CommandFrame, CommandHandlers } from "../../transport/transport.ts";
import { CommandServer } from "./command-server.ts";
import { Forwarder, type ForwarderOptions } from "./forwarder.ts";

export type ForwardingOptions = ForwarderOptions & {
  readonly instruments: Pick<Instruments, "forwardedServed">;
};

/** Both ends of forwarded writes: this node passes them on, and executes those of followers. */
export class Forwarding implements CommandHandlers {
  readonly writes: Forwarder;
  readonly #server: CommandServer;

  constructor(options: ForwardingOptions) {
    this.writes = new Forwarder(options);
    this.#server = new CommandServer(options);
  }

  received(peer: NodeId, kind: CommandFrame, payload: Uint8Array): void {
    if (kind === "commands") this.#server.commands(peer, payload);
    else this.writes.outcomes(peer, payload);
  }

  up(peer: NodeId): void {
    this.writes.linkUp(peer);
  }

  lost(peer: NodeId): void {
    this.writes.linkLost(peer);
  }
}
