import type { NodeId } from "../../lib/ids.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { CommandFrame, CommandHandlers } from "../../transport/transport.ts";
import { CommandServer } from "./command-server.ts";
import { Forwarder, type ForwarderOptions } from "./forwarder.ts";

export type ForwardingOptions = ForwarderOptions & {
  readonly instruments: Pick<Instruments, "forwardedServed">;
};

const MARK_WORDS = 4;
const WORD_DIGITS = 8;

/** Both ends of forwarded writes: this node passes them on, and executes those of followers. */
export class Forwarding implements CommandHandlers {
  readonly writes: Forwarder;
  /** A secret of this process. It is told to other nodes over the link, which authenticates both. */
  readonly mark: string;
  readonly #server: CommandServer;

  constructor(options: ForwardingOptions) {
    this.writes = new Forwarder(options);
    this.#server = new CommandServer(options);
    const word = () => options.random.u32().toString(16).padStart(WORD_DIGITS, "0");
    this.mark = Array.from({ length: MARK_WORDS }, word).join("");
  }

  /** True if it is the mark of this process, or one that a peer has told over its link. */
  knows(mark: string): boolean {
    return mark === this.mark || this.#server.knows(mark);
  }

  received(peer: NodeId, kind: CommandFrame, payload: Uint8Array): void {
    if (kind === "commands") this.#server.commands(peer, payload);
    else this.writes.outcomes(peer, payload);
  }

  up(peer: NodeId): void {
    this.writes.introduce(peer, this.mark);
    this.writes.linkUp(peer);
  }

  lost(peer: NodeId): void {
    this.#server.lost(peer);
    this.writes.linkLost(peer);
  }
}
