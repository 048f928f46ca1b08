/** One end of a link between nodes, spoken by hand over a real socket. */
import type { ByteWriter } from "../../../src/lib/bytes.ts";
import { SHARD_0 } from "../../../src/lib/ids.ts";
import {
  decodeFrame,
  type Frame,
  type FrameAddress,
  type FrameKind,
  FrameWriter,
  NO_SESSION,
  readPayload,
} from "../../../src/transport/envelope.ts";
import { type RefusalCode, readRefusal } from "../../../src/transport/handshake-codec.ts";

export const SHAKING: FrameAddress = { shard: SHARD_0, session: NO_SESSION };

export class RawPeer {
  readonly #socket: WebSocket;
  readonly #frames: Uint8Array[] = [];
  #wake: () => void = () => {};
  #isClosed = false;

  constructor(port: number) {
    this.#socket = new WebSocket(`ws://127.0.0.1:${port}/ayder/raft`);
    this.#socket.binaryType = "nodebuffer";
    this.#socket.onmessage = ({ data }: MessageEvent<Uint8Array>) => {
      this.#frames.push(data);
      this.#wake();
    };
    this.#socket.onclose = () => {
      this.#isClosed = true;
      this.#wake();
    };
  }

  /** The next frame as it came; null once the link is closed. */
  async nextBytes(): Promise<Uint8Array | null> {
    while (this.#frames.length === 0) {
      if (this.#isClosed) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#frames.shift() ?? null;
  }

  async next(): Promise<Frame | null> {
    const bytes = await this.nextBytes();
    return bytes === null ? null : decodeFrame(bytes, SHAKING);
  }

  /**
   * The node's answer to a hello: the reason of a refusal, "welcome", or "closed" without a
   * message.
   */
  async outcome(): Promise<RefusalCode | "welcome" | "closed"> {
    const frame = await this.next();
    if (frame === null) return "closed";
    return frame.kind === "refusal" ? readPayload(frame.payload, readRefusal) : "welcome";
  }

  send(kind: FrameKind, write: (writer: ByteWriter) => void, address = SHAKING): void {
    const writer = new FrameWriter();
    write(writer.begin(kind));
    this.sendBytes(writer.finish(address));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.send(bytes.slice());
  }

  close(): void {
    this.#socket.close();
  }
}
